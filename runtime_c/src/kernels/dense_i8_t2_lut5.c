/* Dense layer, ternary weights, by look-up of five of them at a time (1.6 bits each), for layers
 * that wait for their weights. */
#define LUT_NAME dense_i8_t2_lut5
#define LUT_FIVE
#include "dense_lut.h"

TERNC_KERNEL(dense_i8_t2_lut5, check_dense_i8_t2_lut5, NULL, run_dense_i8_t2_lut5)

/* Dense layer, ternary weights, by look-up of five; 32 bits of requantization constants per output. */
#define LUT_NAME dense_i8_t2_lut5_short
#define LUT_FIVE
#define LUT_SHORT
#include "dense_lut.h"

TERNC_KERNEL(dense_i8_t2_lut5_short, check_dense_i8_t2_lut5_short, NULL, run_dense_i8_t2_lut5_short)

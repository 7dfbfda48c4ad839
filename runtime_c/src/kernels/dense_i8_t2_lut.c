/* Dense layer, ternary weights, by look-up of four of them at a time. */
#define LUT_NAME dense_i8_t2_lut
#include "dense_lut.h"

TERNC_KERNEL(dense_i8_t2_lut, check_dense_i8_t2_lut, NULL, run_dense_i8_t2_lut)

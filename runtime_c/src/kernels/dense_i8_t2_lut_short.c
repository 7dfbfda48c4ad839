/* Dense layer, ternary weights, by look-up; 32 bits of requantization constants per output. */
#define LUT_NAME dense_i8_t2_lut_short
#define LUT_SHORT
#include "dense_lut.h"

TERNC_KERNEL(dense_i8_t2_lut_short, check_dense_i8_t2_lut_short, NULL, run_dense_i8_t2_lut_short)

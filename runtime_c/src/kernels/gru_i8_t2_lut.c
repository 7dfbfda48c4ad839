/* GRU, ternary weights by look-up, int8 activations, in integers only. */
#define LUT_NAME gru_i8_t2_lut
#define LUT_CELL LUT_GRU
#include "recurrent_lut.h"

TERNC_KERNEL(gru_i8_t2_lut, check_gru_i8_t2_lut, NULL, run_gru_i8_t2_lut)

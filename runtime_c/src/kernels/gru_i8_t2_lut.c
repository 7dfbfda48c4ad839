/* GRU, ternary weights by look-up, int8 activations, in integers only. */
#define FAST_NAME gru_i8_t2_lut
#define FAST_CELL FAST_GRU
#define FAST_W FAST_T2
#include "recurrent_fast.h"

TERNC_KERNEL(gru_i8_t2_lut, check_gru_i8_t2_lut, NULL, run_gru_i8_t2_lut)

/* GRU, int8 weights in blocks of eight rows, int8 activations, in integers only. */
#define FAST_NAME gru_i8_blocked
#define FAST_CELL FAST_GRU
#define FAST_W FAST_I8
#include "recurrent_fast.h"

TERNC_KERNEL(gru_i8_blocked, check_gru_i8_blocked, NULL, run_gru_i8_blocked)

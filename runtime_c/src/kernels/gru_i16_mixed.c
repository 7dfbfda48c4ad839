/* GRU, rows of int8 and of ternary weights, int16 activations, in integers only. */
#define RNN_NAME gru_i16_mixed
#define RNN_CELL RNN_GRU
#define RNN_W RNN_MIXED
#include "recurrent_i16.h"

TERNC_KERNEL(gru_i16_mixed, check_gru_i16_mixed, rows_gru_i16_mixed, run_gru_i16_mixed)

/* GRU, rows of int8 and of ternary weights, int8 activations, in integers only. */
#define RNN_NAME gru_i8_mixed
#define RNN_CELL RNN_GRU
#define RNN_W RNN_MIXED
#include "recurrent_i8.h"

TERNC_KERNEL(gru_i8_mixed, check_gru_i8_mixed, rows_gru_i8_mixed, run_gru_i8_mixed)

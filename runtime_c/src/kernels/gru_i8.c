/* GRU, int8 weights and activations, in integers only. */
#define RNN_NAME gru_i8
#define RNN_CELL RNN_GRU
#define RNN_W RNN_I8
#include "recurrent_i8.h"

TERNC_KERNEL(gru_i8, check_gru_i8, rows_gru_i8, run_gru_i8)

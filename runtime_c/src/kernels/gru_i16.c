/* GRU, int8 weights, int16 activations, in integers only. */
#define RNN_NAME gru_i16
#define RNN_CELL RNN_GRU
#define RNN_W RNN_I8
#include "recurrent_i16.h"

TERNC_KERNEL(gru_i16, check_gru_i16, rows_gru_i16, run_gru_i16)

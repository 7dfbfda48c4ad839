/* RNN, int8 weights and activations, in integers only. */
#define RNN_NAME rnn_i8
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_I8
#include "recurrent_i8.h"

TERNC_KERNEL(rnn_i8, check_rnn_i8, rows_rnn_i8, run_rnn_i8)

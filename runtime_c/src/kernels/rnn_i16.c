/* RNN, int8 weights, int16 activations, in integers only. */
#define RNN_NAME rnn_i16
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_I8
#include "recurrent_i16.h"

TERNC_KERNEL(rnn_i16, check_rnn_i16, rows_rnn_i16, run_rnn_i16)

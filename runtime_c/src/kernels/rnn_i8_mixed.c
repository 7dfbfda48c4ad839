/* RNN, rows of int8 and of ternary weights, int8 activations, in integers only. */
#define RNN_NAME rnn_i8_mixed
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_MIXED
#include "recurrent_i8.h"

TERNC_KERNEL(rnn_i8_mixed, check_rnn_i8_mixed, rows_rnn_i8_mixed, run_rnn_i8_mixed)

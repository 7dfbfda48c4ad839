/* RNN, rows of int8 and of ternary weights, int16 activations, in integers only. */
#define RNN_NAME rnn_i16_mixed
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_MIXED
#include "recurrent_i16.h"

TERNC_KERNEL(rnn_i16_mixed, check_rnn_i16_mixed, rows_rnn_i16_mixed, run_rnn_i16_mixed)

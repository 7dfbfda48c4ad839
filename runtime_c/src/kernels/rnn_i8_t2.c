/* RNN, ternary weights, int8 activations, in integers only. */
#define RNN_NAME rnn_i8_t2
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_T2
#include "recurrent_i8.h"

TERNC_KERNEL(rnn_i8_t2, check_rnn_i8_t2, rows_rnn_i8_t2, run_rnn_i8_t2)

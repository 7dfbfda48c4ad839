/* RNN, ternary weights, int16 activations, in integers only. */
#define RNN_NAME rnn_i16_t2
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_T2
#include "recurrent_i16.h"

TERNC_KERNEL(rnn_i16_t2, check_rnn_i16_t2, rows_rnn_i16_t2, run_rnn_i16_t2)

/* RNN, int8 weights in blocks of eight rows, int8 activations, in integers only. */
#define FAST_NAME rnn_i8_blocked
#define FAST_CELL FAST_PLAIN
#define FAST_W FAST_I8
#include "recurrent_fast.h"

TERNC_KERNEL(rnn_i8_blocked, check_rnn_i8_blocked, NULL, run_rnn_i8_blocked)

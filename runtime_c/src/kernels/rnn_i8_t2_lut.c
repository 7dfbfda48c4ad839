/* RNN, ternary weights by look-up, int8 activations, in integers only. */
#define FAST_NAME rnn_i8_t2_lut
#define FAST_CELL FAST_PLAIN
#define FAST_W FAST_T2
#include "recurrent_fast.h"

TERNC_KERNEL(rnn_i8_t2_lut, check_rnn_i8_t2_lut, NULL, run_rnn_i8_t2_lut)

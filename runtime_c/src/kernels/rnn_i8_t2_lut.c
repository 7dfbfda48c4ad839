/* RNN, ternary weights by look-up, int8 activations, in integers only. */
#define LUT_NAME rnn_i8_t2_lut
#define LUT_CELL LUT_PLAIN
#include "recurrent_lut.h"

TERNC_KERNEL(rnn_i8_t2_lut, check_rnn_i8_t2_lut, NULL, run_rnn_i8_t2_lut)

/* RNN, int8 weights scaled per gate row, float32 activations. */
#define RNN_NAME rnn_f32_w8
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_I8
#include "recurrent_f32.h"

TERNC_KERNEL(rnn_f32_w8, check_rnn_f32_w8, rows_rnn_f32_w8, run_rnn_f32_w8)

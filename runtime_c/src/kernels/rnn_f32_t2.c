/* RNN, ternary weights scaled per gate row, float32 activations. */
#define RNN_NAME rnn_f32_t2
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_T2
#include "recurrent_f32.h"

TERNC_KERNEL(rnn_f32_t2, check_rnn_f32_t2, rows_rnn_f32_t2, run_rnn_f32_t2)

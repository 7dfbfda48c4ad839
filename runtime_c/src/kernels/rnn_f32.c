/* RNN, all float32. */
#define RNN_NAME rnn_f32
#define RNN_CELL RNN_PLAIN
#define RNN_W RNN_F32
#include "recurrent_f32.h"

TERNC_KERNEL(rnn_f32, check_rnn_f32, rows_rnn_f32, run_rnn_f32)

/* LSTM, int8 weights scaled per gate row, float32 activations. */
#define RNN_NAME lstm_f32_w8
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_I8
#include "recurrent_f32.h"

TERNC_KERNEL(lstm_f32_w8, check_lstm_f32_w8, rows_lstm_f32_w8, run_lstm_f32_w8)

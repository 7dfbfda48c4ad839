/* LSTM, ternary weights scaled per gate row, float32 activations. */
#define RNN_NAME lstm_f32_t2
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_T2
#include "recurrent_f32.h"

TERNC_KERNEL(lstm_f32_t2, check_lstm_f32_t2, rows_lstm_f32_t2, run_lstm_f32_t2)

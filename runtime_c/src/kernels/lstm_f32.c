/* LSTM, all float32. */
#define RNN_NAME lstm_f32
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_F32
#include "recurrent_f32.h"

TERNC_KERNEL(lstm_f32, check_lstm_f32, rows_lstm_f32, run_lstm_f32)

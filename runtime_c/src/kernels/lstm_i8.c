/* LSTM, int8 weights and activations, in integers only. */
#define RNN_NAME lstm_i8
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_I8
#include "recurrent_i8.h"

TERNC_KERNEL(lstm_i8, check_lstm_i8, rows_lstm_i8, run_lstm_i8)

/* LSTM, int8 weights, int16 activations, in integers only. */
#define RNN_NAME lstm_i16
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_I8
#include "recurrent_i16.h"

TERNC_KERNEL(lstm_i16, check_lstm_i16, rows_lstm_i16, run_lstm_i16)

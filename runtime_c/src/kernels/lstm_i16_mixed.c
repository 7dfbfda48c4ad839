/* LSTM, rows of int8 and of ternary weights, int16 activations, in integers only. */
#define RNN_NAME lstm_i16_mixed
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_MIXED
#include "recurrent_i16.h"

TERNC_KERNEL(lstm_i16_mixed, check_lstm_i16_mixed, rows_lstm_i16_mixed, run_lstm_i16_mixed)

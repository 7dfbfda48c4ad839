/* LSTM, rows of int8 and of ternary weights, int8 activations, in integers only. */
#define RNN_NAME lstm_i8_mixed
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_MIXED
#include "recurrent_i8.h"

TERNC_KERNEL(lstm_i8_mixed, check_lstm_i8_mixed, rows_lstm_i8_mixed, run_lstm_i8_mixed)

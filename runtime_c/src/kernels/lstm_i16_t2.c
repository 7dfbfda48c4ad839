/* LSTM, ternary weights, int16 activations, in integers only. */
#define RNN_NAME lstm_i16_t2
#define RNN_CELL RNN_LSTM
#define RNN_W RNN_T2
#include "recurrent_i16.h"

TERNC_KERNEL(lstm_i16_t2, check_lstm_i16_t2, rows_lstm_i16_t2, run_lstm_i16_t2)

/* LSTM, int8 weights in blocks of eight rows, int8 activations, in integers only. */
#define FAST_NAME lstm_i8_blocked
#define FAST_CELL FAST_LSTM
#define FAST_W FAST_I8
#include "recurrent_fast.h"

TERNC_KERNEL(lstm_i8_blocked, check_lstm_i8_blocked, NULL, run_lstm_i8_blocked)

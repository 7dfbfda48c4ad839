/* LSTM, ternary weights by look-up, int8 activations, in integers only. */
#define FAST_NAME lstm_i8_t2_lut
#define FAST_CELL FAST_LSTM
#define FAST_W FAST_T2
#include "recurrent_fast.h"

TERNC_KERNEL(lstm_i8_t2_lut, check_lstm_i8_t2_lut, NULL, run_lstm_i8_t2_lut)

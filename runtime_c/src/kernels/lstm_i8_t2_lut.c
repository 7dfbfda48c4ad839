/* LSTM, ternary weights by look-up, int8 activations, in integers only. */
#define LUT_NAME lstm_i8_t2_lut
#define LUT_CELL LUT_LSTM
#include "recurrent_lut.h"

TERNC_KERNEL(lstm_i8_t2_lut, check_lstm_i8_t2_lut, NULL, run_lstm_i8_t2_lut)

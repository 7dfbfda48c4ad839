/* GRU, ternary weights, int16 activations, in integers only. */
#define RNN_NAME gru_i16_t2
#define RNN_CELL RNN_GRU
#define RNN_W RNN_T2
#include "recurrent_i16.h"

TERNC_KERNEL(gru_i16_t2, check_gru_i16_t2, rows_gru_i16_t2, run_gru_i16_t2)

/* GRU, ternary weights scaled per gate row, float32 activations. */
#define RNN_NAME gru_f32_t2
#define RNN_CELL RNN_GRU
#define RNN_W RNN_T2
#include "recurrent_f32.h"

TERNC_KERNEL(gru_f32_t2, check_gru_f32_t2, rows_gru_f32_t2, run_gru_f32_t2)

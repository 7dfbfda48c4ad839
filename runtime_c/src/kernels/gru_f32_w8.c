/* GRU, int8 weights scaled per gate row, float32 activations. */
#define RNN_NAME gru_f32_w8
#define RNN_CELL RNN_GRU
#define RNN_W RNN_I8
#include "recurrent_f32.h"

TERNC_KERNEL(gru_f32_w8, check_gru_f32_w8, rows_gru_f32_w8, run_gru_f32_w8)

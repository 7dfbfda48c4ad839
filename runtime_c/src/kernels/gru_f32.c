/* GRU, all float32. */
#define RNN_NAME gru_f32
#define RNN_CELL RNN_GRU
#define RNN_W RNN_F32
#include "recurrent_f32.h"

TERNC_KERNEL(gru_f32, check_gru_f32, rows_gru_f32, run_gru_f32)

/* Dense layer, int8 weights scaled per output channel, float32 activations. */
#define MAC_NAME dense_f32_w8
#define MAC_X MAC_F32
#define MAC_W MAC_I8
#define MAC_Y MAC_F32
#include "dense.h"

TERNC_KERNEL(dense_f32_w8, check_dense_f32_w8, rows_dense_f32_w8, run_dense_f32_w8)

/* Dense layer, ternary weights scaled per output channel, float32 activations. */
#define MAC_NAME dense_f32_t2
#define MAC_X MAC_F32
#define MAC_W MAC_T2
#define MAC_Y MAC_F32
#include "dense.h"

TERNC_KERNEL(dense_f32_t2, check_dense_f32_t2, rows_dense_f32_t2, run_dense_f32_t2)

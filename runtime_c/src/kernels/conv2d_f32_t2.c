/* Convolution, ternary weights scaled per output channel, float32 activations. */
#define MAC_NAME conv2d_f32_t2
#define MAC_X MAC_F32
#define MAC_W MAC_T2
#define MAC_Y MAC_F32
#include "conv2d.h"

TERNC_KERNEL(conv2d_f32_t2, check_conv2d_f32_t2, rows_conv2d_f32_t2, run_conv2d_f32_t2)

/* Convolution, int8 weights scaled per output channel, float32 activations. */
#define MAC_NAME conv2d_f32_w8
#define MAC_X MAC_F32
#define MAC_W MAC_I8
#define MAC_Y MAC_F32
#include "conv2d.h"

TERNC_KERNEL(conv2d_f32_w8, check_conv2d_f32_w8, rows_conv2d_f32_w8, run_conv2d_f32_w8)

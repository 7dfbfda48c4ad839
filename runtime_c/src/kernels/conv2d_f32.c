/* Convolution, all float32. */
#define MAC_NAME conv2d_f32
#define MAC_X MAC_F32
#define MAC_W MAC_F32
#define MAC_Y MAC_F32
#include "conv2d.h"

TERNC_KERNEL(conv2d_f32, check_conv2d_f32, rows_conv2d_f32, run_conv2d_f32)

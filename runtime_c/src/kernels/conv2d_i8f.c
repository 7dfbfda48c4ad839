/* Convolution, int8 in, float32 out. */
#define MAC_NAME conv2d_i8f
#define MAC_X MAC_I8
#define MAC_W MAC_I8
#define MAC_Y MAC_F32
#include "conv2d.h"

TERNC_KERNEL(conv2d_i8f, check_conv2d_i8f, rows_conv2d_i8f, run_conv2d_i8f)

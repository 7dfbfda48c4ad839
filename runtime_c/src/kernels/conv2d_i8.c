/* Convolution, int8 with fixed-point requantization. */
#define MAC_NAME conv2d_i8
#define MAC_X MAC_I8
#define MAC_W MAC_I8
#define MAC_Y MAC_I8
#include "conv2d.h"

TERNC_KERNEL(conv2d_i8, check_conv2d_i8, rows_conv2d_i8, run_conv2d_i8)

/* Convolution, int8 weights, int16 activations, fixed-point requantization. */
#define MAC_NAME conv2d_i16
#define MAC_X MAC_I16
#define MAC_W MAC_I8
#define MAC_Y MAC_I16
#include "conv2d.h"

TERNC_KERNEL(conv2d_i16, check_conv2d_i16, rows_conv2d_i16, run_conv2d_i16)

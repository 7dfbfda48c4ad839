/* Convolution, ternary weights, int16 activations, fixed-point requantization. */
#define MAC_NAME conv2d_i16_t2
#define MAC_X MAC_I16
#define MAC_W MAC_T2
#define MAC_Y MAC_I16
#include "conv2d.h"

TERNC_KERNEL(conv2d_i16_t2, check_conv2d_i16_t2, rows_conv2d_i16_t2, run_conv2d_i16_t2)

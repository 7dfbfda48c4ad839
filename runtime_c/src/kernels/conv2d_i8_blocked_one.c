/* A form of conv2d_i8_blocked: without residuals. */
#define TERNC_NO_RESIDUAL
#include "conv2d_i8_blocked.c"

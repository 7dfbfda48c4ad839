/* A form of conv2d_i8_t2_lut: patterns of 3 channels, one sum for each output, no residual. */
#define TERNC_LUT_GROUP 3
#define TERNC_LUT_FORM conv2d_i8_t2_lut_3
#define TERNC_NO_RESIDUAL
#include "conv2d_i8_t2_lut.c"

/* A form of conv2d_i8_t2_lut: patterns of 4 channels, one sum for each output, no residual. */
#define TERNC_LUT_GROUP 4
#define TERNC_LUT_FORM conv2d_i8_t2_lut_4
#define TERNC_NO_RESIDUAL
#include "conv2d_i8_t2_lut.c"

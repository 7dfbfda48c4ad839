/* Generated from backends/esp32/isa.py by ternc.backends.esp32.generate: do not edit.
 *
 * Every operand is one 32-bit word, so an instruction's words are read through its struct.
 * Operands that name tensors hold an index into the tensor table (TERNC_NONE: absent). */
#ifndef TERNC_ISA_H
#define TERNC_ISA_H

#include <stdint.h>

/* X(code, name, revision, operand words, operand kinds) */
#define TERNC_OPCODES(X) \
  X(0x01, conv2d_f32, 1, 24, "icCouuuuuuuuuuuuujjuuuff") \
  X(0x02, conv2d_f32_w8, 1, 25, "iccCouuuuuuuuuuuuujjuuuff") \
  X(0x03, conv2d_f32_t2, 1, 25, "iccCouuuuuuuuuuuuujjuuuff") \
  X(0x04, conv2d_i8, 1, 28, "icCccouuuuuuuuuuuuujjuuujujj") \
  X(0x05, conv2d_i8_t2, 1, 27, "icccouuuuuuuuuuuuujjuuujujj") \
  X(0x06, conv2d_i8f, 1, 27, "icCccouuuuuuuuuuuuujjuuujff") \
  X(0x07, conv2d_i8f_t2, 1, 26, "icccouuuuuuuuuuuuujjuuujff") \
  X(0x08, dense_f32, 1, 9, "icCouuuff") \
  X(0x09, dense_f32_w8, 1, 10, "iccCouuuff") \
  X(0x0a, dense_f32_t2, 1, 10, "iccCouuuff") \
  X(0x0b, dense_i8, 1, 12, "icCccouuuujj") \
  X(0x0c, dense_i8_t2, 1, 11, "icccouuuujj") \
  X(0x0d, dense_i8f, 1, 11, "icCccouuuff") \
  X(0x0e, dense_i8f_t2, 1, 10, "icccouuuff") \
  X(0x10, matmul_f32, 1, 16, "iiouuuuuuuuuuuuu") \
  X(0x11, matmul_i8, 1, 23, "iiouuuuuuuuuuuuujjjjujj") \
  X(0x20, binary_f32, 1, 24, "iiouuuuuuujjjjjjjjjjjjff") \
  X(0x21, add_i8, 1, 27, "iiouuuuuujjjjjjjjjjjjjjjujj") \
  X(0x22, mul_i8, 1, 28, "iiouuuuuujjjjjjjjjjjjjjjjujj") \
  X(0x23, div_i8, 1, 28, "iiouuuuuujjjjjjjjjjjjjjjjujj") \
  X(0x24, affine_f32, 1, 9, "iccouuuff") \
  X(0x25, affine_i8, 1, 10, "iccouuuujj") \
  X(0x26, prelu_i8, 1, 12, "icouuujjjujj") \
  X(0x27, lut_i8, 1, 4, "icou") \
  X(0x28, unary_f32, 1, 6, "iouuff") \
  X(0x29, sigmoid_f32, 1, 3, "iou") \
  X(0x2a, tanh_f32, 1, 3, "iou") \
  X(0x2b, exp_f32, 1, 3, "iou") \
  X(0x2c, log_f32, 1, 3, "iou") \
  X(0x2d, sqrt_f32, 1, 3, "iou") \
  X(0x2e, erf_f32, 1, 3, "iou") \
  X(0x2f, gelu_f32, 1, 4, "iouu") \
  X(0x30, quantize_i8, 1, 7, "ioufjjj") \
  X(0x31, dequantize_i8, 1, 5, "ioufj") \
  X(0x32, cast, 1, 3, "iou") \
  X(0x38, maxpool_f32, 1, 16, "iouuuuuuuuuuuujj") \
  X(0x39, maxpool_i8, 1, 16, "iouuuuuuuuuuuujj") \
  X(0x3a, avgpool_f32, 1, 19, "iouuuuuuuuuuuujjjju") \
  X(0x3b, avgpool_i8, 1, 26, "icouuuuuuuuuuuujjjjujujujj") \
  X(0x3c, softmax_f32, 1, 6, "iouuuu") \
  X(0x3d, softmax_i8, 1, 10, "icouuuujjj") \
  X(0x3e, layernorm_f32, 1, 7, "iCCouuf") \
  X(0x3f, layernorm_i8, 1, 11, "iccouuuuujj") \
  X(0x40, argmax_f32, 1, 7, "iouuuuu") \
  X(0x41, argmax_i8, 1, 7, "iouuuuu") \
  X(0x48, copy_nd, 1, 23, "iouuuuuuuuujjjjjjjjjjjj") \
  X(0x49, fill, 1, 4, "ouuu") \
  X(0x4a, gather, 1, 8, "iiouuuuu") \
  X(0x58, compare, 1, 22, "iiouuuuuuujjjjjjjjjjjj") \
  X(0x59, where, 1, 23, "iiiouuuuuuujjjjjjjjjjjj") \
  X(0x5a, resample_f32, 1, 9, "iccouuuuu") \
  X(0x5b, scatter_f32, 1, 7, "iciouuu") \
  X(0x5c, topk, 1, 8, "ioouuuuu") \
  X(0x50, activation_f32, 1, 6, "iouuff") \
  X(0x51, threshold_f32, 1, 6, "iouuff") \
  X(0x52, trigonometric_f32, 1, 4, "iouu") \
  X(0x53, arc_f32, 1, 4, "iouu") \
  X(0x54, hyperbolic_f32, 1, 4, "iouu") \
  X(0x55, reduce_f32, 1, 6, "iouuuu") \
  X(0x56, cumsum, 1, 7, "iouuuuu") \
  X(0x57, extremum, 1, 22, "iiouuuuuujjjjjjjjjjjju") \
  X(0x60, lstm_f32, 1, 16, "iccCIIOOOsuuuuuu") \
  X(0x61, lstm_f32_w8, 1, 18, "iccccCIIOOOsuuuuuu") \
  X(0x62, lstm_f32_t2, 1, 18, "iccccCIIOOOsuuuuuu") \
  X(0x63, gru_f32, 1, 15, "iccCIOOsuuuuuuu") \
  X(0x64, gru_f32_w8, 1, 17, "iccccCIOOsuuuuuuu") \
  X(0x65, gru_f32_t2, 1, 17, "iccccCIOOsuuuuuuu") \
  X(0x66, rnn_f32, 1, 15, "iccCIOOsuuuuuuu") \
  X(0x67, rnn_f32_w8, 1, 17, "iccccCIOOsuuuuuuu") \
  X(0x68, rnn_f32_t2, 1, 17, "iccccCIOOsuuuuuuu") \
  X(0x69, lstm_i8, 1, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0x6a, lstm_i8_t2, 2, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0x6b, gru_i8, 1, 23, "icccccIOOsuuuuuuujjujju") \
  X(0x6c, gru_i8_t2, 2, 23, "icccccIOOsuuuuuuujjujju") \
  X(0x6d, rnn_i8, 1, 22, "icccccIOOsuuuuuuujjujj") \
  X(0x6e, rnn_i8_t2, 2, 22, "icccccIOOsuuuuuuujjujj") \
  X(0x6f, rescale, 1, 8, "ioujjujj") \
  X(0x70, absmax_i8, 1, 10, "ioouuffjju") \
  X(0x71, scale_rows_f32, 1, 9, "iiCouuuff") \
  X(0x80, dense_i8_t2_lut, 1, 14, "icccosuuuuuujj") \
  X(0x81, conv2d_i8_t2_lut, 2, 41, "icccosuuuuuuuuuuuuujjuuuuuuuuujujjIjjjujj") \
  X(0x82, dense_i8_blocked, 1, 11, "icccouuuujj") \
  X(0x83, conv2d_i8_blocked, 1, 35, "icccosuuuuuuuuuuuuujjuuujujjIjjjujj") \
  X(0xa8, conv2d_i8_tiles, 1, 35, "icccosuuuuuuuuuuuuujjuuujujjIjjjujj") \
  X(0x84, conv2d_i8_depthwise, 1, 28, "icccosuuuuuuuuuuuuujjuuujujj") \
  X(0x85, conv2d_i8_t2_taps, 1, 28, "icccosuuuuuuuuuuuuujjuuujujj") \
  X(0xa0, conv2d_i8_t2_lists, 2, 29, "icccosuuuuuuuuuuuuujjuuuujujj") \
  X(0x90, conv2d_i16, 1, 27, "icCccouuuuuuuuuuuuujjuuuujj") \
  X(0x91, conv2d_i16_t2, 1, 26, "icccouuuuuuuuuuuuujjuuuujj") \
  X(0x92, dense_i16, 1, 12, "icCccouuuujj") \
  X(0x93, matmul_i16, 1, 21, "iiouuuuuuuuuuuuujjujj") \
  X(0x94, add_i16, 1, 27, "iiouuuuuujjjjjjjjjjjjjjjujj") \
  X(0x95, mul_i16, 1, 26, "iiouuuuuujjjjjjjjjjjjjjujj") \
  X(0x96, div_i16, 1, 26, "iiouuuuuujjjjjjjjjjjjjjujj") \
  X(0x97, affine_i16, 1, 11, "icCcouuuujj") \
  X(0x98, table_i16, 1, 5, "iccou") \
  X(0x99, maxpool_i16, 1, 16, "iouuuuuuuuuuuujj") \
  X(0x9a, convert_i16, 1, 6, "ioufjj") \
  X(0x9b, avgpool_i16, 1, 25, "icouuuuuuuuuuuujjjjuujujj") \
  X(0x9c, softmax_i16, 1, 10, "icouuuujjj") \
  X(0x9d, layernorm_i16, 1, 11, "iccouuuuujj") \
  X(0x9e, argmax_i16, 1, 7, "iouuuuu") \
  X(0xc0, lstm_i16, 1, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0xc1, lstm_i16_t2, 1, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0xc2, gru_i16, 1, 23, "icccccIOOsuuuuuuujjujju") \
  X(0xc3, gru_i16_t2, 1, 23, "icccccIOOsuuuuuuujjujju") \
  X(0xc4, rnn_i16, 1, 22, "icccccIOOsuuuuuuujjujj") \
  X(0xc5, rnn_i16_t2, 1, 22, "icccccIOOsuuuuuuujjujj") \
  X(0xc8, lstm_i8_mixed, 1, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0xc9, gru_i8_mixed, 1, 23, "icccccIOOsuuuuuuujjujju") \
  X(0xca, rnn_i8_mixed, 1, 22, "icccccIOOsuuuuuuujjujj") \
  X(0xcb, lstm_i16_mixed, 1, 25, "icccccIIOOOsuuuuuuujjujju") \
  X(0xcc, gru_i16_mixed, 1, 23, "icccccIOOsuuuuuuujjujju") \
  X(0xcd, rnn_i16_mixed, 1, 22, "icccccIOOsuuuuuuujjujj") \
  X(0xb0, lstm_i8_t2_lut, 1, 23, "iccIIOOOsuuuuuuujjujjuu") \
  X(0xb1, gru_i8_t2_lut, 1, 21, "iccIOOsuuuuuuujjujjuu") \
  X(0xb2, rnn_i8_t2_lut, 1, 20, "iccIOOsuuuuuuujjujju") \
  X(0xb8, lstm_i8_blocked, 1, 23, "iccIIOOOsuuuuuuujjujjuu") \
  X(0xb9, gru_i8_blocked, 1, 21, "iccIOOsuuuuuuujjujjuu") \
  X(0xba, rnn_i8_blocked, 1, 20, "iccIOOsuuuuuuujjujju") \
  X(0xb3, dense_i8_t2_lut5, 1, 13, "icccosuuuuujj") \
  X(0xb4, dense_i8_t2_lut_short, 1, 14, "iccosuuuuuuujj") \
  X(0xb5, dense_i8_t2_lut5_short, 1, 13, "iccosuuuuuujj")

/* Which codes there are, a bit each; the first row's are of revision 1. */
#define TERNC_KNOWN { \
  {0x00037ffeu, 0xff07ffffu, 0x1fff0703u, 0x0003abffu, 0x7fff003du, 0x073f0100u, 0x00003f3fu, 0x00000000u}, \
  {0x00000000u, 0x00000000u, 0x00000000u, 0x00005400u, 0x00000002u, 0x00000001u, 0x00000000u, 0x00000000u} }

/* y = clamp(conv(x, w) + b), all float32 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t b;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  float lo;
  float hi;
} ternc_conv2d_f32_args;

/* y = clamp(conv(x, w)*m[o] + b[o]), int8 weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  float lo;
  float hi;
} ternc_conv2d_f32_w8_args;

/* y = clamp(conv(x, w)*m[o] + b[o]), ternary weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  float lo;
  float hi;
} ternc_conv2d_f32_t2_args;

/* y = requant(conv(x, w - w_zero[o])), int8 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_args;

/* y = requant(conv(x, w)), ternary weights, int8 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_t2_args;

/* y = clamp(float(conv(x, w - w_zero[o]))*m[o] + b[o]), int8 in, float32 out */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  float lo;
  float hi;
} ternc_conv2d_i8f_args;

/* y = clamp(float(conv(x, w))*m[o] + b[o]), ternary weights, int8 in, float32 out */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  float lo;
  float hi;
} ternc_conv2d_i8f_t2_args;

/* y = clamp(x w^T + b), all float32 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  float lo;
  float hi;
} ternc_dense_f32_args;

/* y = clamp((x w^T)*m[o] + b[o]), int8 weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  float lo;
  float hi;
} ternc_dense_f32_w8_args;

/* y = clamp((x w^T)*m[o] + b[o]), ternary weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  float lo;
  float hi;
} ternc_dense_f32_t2_args;

/* y = requant(x (w - w_zero[o])^T), int8 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_args;

/* y = requant(x w^T), ternary weights, int8 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_t2_args;

/* y = clamp(float(x (w - w_zero[o])^T)*m[o] + b[o]), int8 in, float32 out */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  float lo;
  float hi;
} ternc_dense_i8f_args;

/* y = clamp(float(x w^T)*m[o] + b[o]), ternary weights, int8 in, float32 out */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  float lo;
  float hi;
} ternc_dense_i8f_t2_args;

/* y = a b, strided, float32 */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t batch0;
  uint32_t batch1;
  uint32_t rows;
  uint32_t inner;
  uint32_t cols;
  uint32_t a_batch0;
  uint32_t a_batch1;
  uint32_t a_row;
  uint32_t a_inner;
  uint32_t b_batch0;
  uint32_t b_batch1;
  uint32_t b_inner;
  uint32_t b_col;
} ternc_matmul_f32_args;

/* y = requant((a - a_zero)(b - b_zero)), int8; m and c scalar */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t batch0;
  uint32_t batch1;
  uint32_t rows;
  uint32_t inner;
  uint32_t cols;
  uint32_t a_batch0;
  uint32_t a_batch1;
  uint32_t a_row;
  uint32_t a_inner;
  uint32_t b_batch0;
  uint32_t b_batch1;
  uint32_t b_inner;
  uint32_t b_col;
  int32_t a_zero;
  int32_t b_zero;
  int32_t m;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_matmul_i8_args;

/* y = clamp(a op b); op: 0 add 1 sub 2 mul 3 div 4 min 5 max 6 pow 7 prelu(a, slope b) */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t op;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  float lo;
  float hi;
} ternc_binary_f32_args;

/* y = clamp((a*ma + b*mb + c) >> shift); the compiler proves int32 suffices */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t ma;
  int32_t mb;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_add_i8_args;

/* y = requant((a - a_zero)*(b - b_zero)), scalar m and c */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t a_zero;
  int32_t b_zero;
  int32_t m;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_mul_i8_args;

/* y = clamp(floor(((a-a_zero)*m)/((b-b_zero) << shift) + 1/2) + zero); x/0: +-saturates, 0/0: zero */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t a_zero;
  int32_t b_zero;
  int32_t m;
  int32_t zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_div_i8_args;

/* y[i][ch][j] = clamp(x[i][ch][j]*m[ch] + b[ch]) */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t b;
  uint32_t y;
  uint32_t outer;
  uint32_t channels;
  uint32_t inner;
  float lo;
  float hi;
} ternc_affine_f32_args;

/* y[i][ch][j] = requant(x[i][ch][j]) with m[ch] (may be negative), c[ch] */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t outer;
  uint32_t channels;
  uint32_t inner;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_affine_i8_args;

/* d = x - x_zero; y = requant(d) with multiplier d >= 0 ? m_pos : m[ch], scalar c */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t y;
  uint32_t outer;
  uint32_t channels;
  uint32_t inner;
  int32_t x_zero;
  int32_t m_pos;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_prelu_i8_args;

/* y = table[(uint8_t)x], any one-byte types (every int8 unary function) */
typedef struct {
  uint32_t x;
  uint32_t table;
  uint32_t y;
  uint32_t count;
} ternc_lut_i8_args;

/* op: 0 clip(alpha, beta) 1 leaky_relu(alpha) 2 hard_sigmoid(alpha, beta) 3 hard_swish 4 abs 5 neg 6 floor 7 ceil 8 round (half to even) 9 sign 10 reciprocal */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
  float alpha;
  float beta;
} ternc_unary_f32_args;

/* y = 1/(1 + exp(-x)) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_sigmoid_f32_args;

/* y = tanh(x) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_tanh_f32_args;

/* y = exp(x) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_exp_f32_args;

/* y = log(x) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_log_f32_args;

/* y = sqrt(x), correctly rounded */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_sqrt_f32_args;

/* y = erf(x) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_erf_f32_args;

/* y = gelu(x), exact (erf) or, with tanh = 1, the tanh approximation */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
  uint32_t tanh;
} ternc_gelu_f32_args;

/* y = clamp(round_half_even(x / scale) + zero, lo, hi); NaN gives zero; y int8 or uint8 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
  float scale;
  int32_t zero;
  int32_t lo;
  int32_t hi;
} ternc_quantize_i8_args;

/* y = (x - zero)*scale; x int8 or uint8 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
  float scale;
  int32_t zero;
} ternc_dequantize_i8_args;

/* element type conversion as in ONNX Cast, int64 held as int32: integers wrap, a float out of range saturates, NaN gives 0 (bool: true) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
} ternc_cast_args;

/* maximum over the window, padding never wins; of an empty window the lowest finite number */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
} ternc_maxpool_f32_args;

/* maximum over the window, padding never wins; of an empty window the lowest finite number */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
} ternc_maxpool_i8_args;

/* mean over the window; include_pad counts padding within the padded image; empty: 0 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  int32_t pad_bottom;
  int32_t pad_right;
  uint32_t include_pad;
} ternc_avgpool_f32_args;

/* y = requant(sum(x - x_zero)) with multiplier m[m_count == 1 ? 0 : divisor - 1], scalar c */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  int32_t pad_bottom;
  int32_t pad_right;
  uint32_t include_pad;
  int32_t x_zero;
  uint32_t m_count;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_avgpool_i8_args;

/* softmax (log: log-softmax) over the middle axis */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t log;
} ternc_softmax_f32_args;

/* t = table[max - x] (uint32, table[0] > 0); y = clamp(floor((t*multiplier + sum(t)*2^15) / (sum(t)*2^16)) + zero) */
typedef struct {
  uint32_t x;
  uint32_t table;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t multiplier;
  int32_t zero;
  int32_t lo;
  int32_t hi;
} ternc_softmax_i8_args;

/* y = (x - mean)/sqrt(var + epsilon)*gamma + beta over the last axis */
typedef struct {
  uint32_t x;
  uint32_t gamma;
  uint32_t beta;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  float epsilon;
} ternc_layernorm_f32_args;

/* v = n*sum(x^2) - sum(x)^2 + epsilon; a = floor((n*x - sum(x))*2^12/sqrt(v)) to within 1: ((n*x - sum(x))*floor(2^63/isqrt(v*4^k))) >> (51 - k), k making v*4^k >= 2^62 (v = 0: a = 0); y = requant(a) with m[i], c[i]; n <= 4096, epsilon < 2^62 */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t epsilon_lo;
  uint32_t epsilon_hi;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_layernorm_i8_args;

/* index (int32) of the maximum (minimum) over the middle axis */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t select_last;
  uint32_t minimum;
} ternc_argmax_f32_args;

/* index (int32) of the maximum (minimum) over the middle axis */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t select_last;
  uint32_t minimum;
} ternc_argmax_i8_args;

/* y[y_offset + i.ys] = x[x_offset + i.xs] for every index i below the dims (in elements): Transpose, Slice, Concat, Split, Expand, Pad; x and y disjoint, no more indices than y has elements */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t size;
  uint32_t x_offset;
  uint32_t y_offset;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t xs0;
  int32_t xs1;
  int32_t xs2;
  int32_t xs3;
  int32_t xs4;
  int32_t xs5;
  int32_t ys0;
  int32_t ys1;
  int32_t ys2;
  int32_t ys3;
  int32_t ys4;
  int32_t ys5;
} ternc_copy_nd_args;

/* every element of y = value's low bytes */
typedef struct {
  uint32_t y;
  uint32_t size;
  uint32_t value;
  uint32_t count;
} ternc_fill_args;

/* y[o][k][j] = x[o][indices[k]][j]; int32 indices, negative count from the end, then clamped */
typedef struct {
  uint32_t x;
  uint32_t indices;
  uint32_t y;
  uint32_t size;
  uint32_t outer;
  uint32_t axis;
  uint32_t inner;
  uint32_t n_indices;
} ternc_gather_args;

/* y (bool) = whether table has the bit of the outcome: 0 a < b, 1 a = b, 2 a > b, none of NaN; of bool operands bit 2a + b; a and b of one type */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t table;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
} ternc_compare_args;

/* y = condition ? a : b by element size; the condition is bool and dense as y */
typedef struct {
  uint32_t condition;
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t size;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
} ternc_where_args;

/* y[o][k][j] = sum_t w[k][t]*x[o][first[k] + t][j]; weights of 0 read nothing; first int32, clamped */
typedef struct {
  uint32_t x;
  uint32_t first;
  uint32_t w;
  uint32_t y;
  uint32_t outer;
  uint32_t axis;
  uint32_t inner;
  uint32_t n;
  uint32_t taps;
} ternc_resample_f32_args;

/* y = x; then y[indices[k]] op= u[k] for k in order; op: 0 add 1 mul 2 min 3 max; indices out of range do nothing */
typedef struct {
  uint32_t x;
  uint32_t indices;
  uint32_t u;
  uint32_t y;
  uint32_t op;
  uint32_t count;
  uint32_t n;
} ternc_scatter_f32_args;

/* the k largest (smallest) values along the middle axis, first those, of equal ones the first; indices int32 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t indices;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t k;
  uint32_t smallest;
} ternc_topk_args;

/* op: 0 elu(alpha)*beta 1 celu(alpha) 2 softplus 3 mish 4 x*sigmoid(alpha*x) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
  float alpha;
  float beta;
} ternc_activation_f32_args;

/* op: 0 softsign 1 x > alpha ? x : 0 2 x < -alpha ? x + beta : x > alpha ? x - beta : 0 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
  float alpha;
  float beta;
} ternc_threshold_f32_args;

/* op: 0 sin 1 cos 2 tan */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
} ternc_trigonometric_f32_args;

/* op: 0 asin 1 acos 2 atan */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
} ternc_arc_f32_args;

/* op: 0 sinh 1 cosh 2 asinh 3 acosh 4 atanh */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t op;
  uint32_t count;
} ternc_hyperbolic_f32_args;

/* over the middle axis, n > 0; op: 0 sum 1 product 2 sum of |x| 3 sum of x^2 4 minimum */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t op;
} ternc_reduce_f32_args;

/* running sums along the middle axis, float32 or int32 (which wraps) */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t exclusive;
  uint32_t reverse;
} ternc_cumsum_args;

/* y = minimum = 1 ? min(a, b) : max(a, b); all int8, uint8, int16 or int32 */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  uint32_t minimum;
} ternc_extremum_args;

/* LSTM, gates i, o, f, c, all float32 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t b;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
} ternc_lstm_f32_args;

/* LSTM with w*m_w[row], r*m_r[row], int8 weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
} ternc_lstm_f32_w8_args;

/* LSTM with w*m_w[row], r*m_r[row], ternary weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
} ternc_lstm_f32_t2_args;

/* GRU, gates z, r, n, bias [z, r, n of x, n of h], all float32 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t linear_before_reset;
} ternc_gru_f32_args;

/* GRU with w*m_w[row], r*m_r[row], int8 weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t linear_before_reset;
} ternc_gru_f32_w8_args;

/* GRU with w*m_w[row], r*m_r[row], ternary weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t linear_before_reset;
} ternc_gru_f32_t2_args;

/* RNN, one gate; relu: max(0, .) for tanh, all float32 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t relu;
} ternc_rnn_f32_args;

/* RNN with w*m_w[row], r*m_r[row], int8 weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t relu;
} ternc_rnn_f32_w8_args;

/* RNN with w*m_w[row], r*m_r[row], ternary weights, float32 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t b;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t relu;
} ternc_rnn_f32_t2_args;

/* LSTM in integers, int8 weights, int8 x and y; cells carry cell_bits fraction bits */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i8_args;

/* LSTM in integers, ternary weights, int8 x and y; cells carry cell_bits fraction bits */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i8_t2_args;

/* GRU in integers, int8 weights, int8 x and y, c [z, r, n of x, n of h] */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i8_args;

/* GRU in integers, ternary weights, int8 x and y, c [z, r, n of x, n of h] */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i8_t2_args;

/* RNN in integers, int8 weights, int8 x and y */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i8_args;

/* RNN in integers, ternary weights, int8 x and y */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i8_t2_args;

/* y = requant(x) with scalar m and c; x and y int8 or int16 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
  int32_t m;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_rescale_args;

/* for each row of n: a = max(max|x|, epsilon); y = clamp(round_half_even(x*s), lo, hi), r = 1/s with form 0 s = (1/a)*levels, 1 s = levels/a; or round(x/d), r = d with 2 d = a/levels, 3 d = a*levels; NaN gives 0 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t r;
  uint32_t rows;
  uint32_t n;
  float epsilon;
  float levels;
  int32_t lo;
  int32_t hi;
  uint32_t form;
} ternc_absmax_i8_args;

/* y[i][j] = clamp(x[i][j]*r[i] + b[j mod channels]); channels divides n */
typedef struct {
  uint32_t x;
  uint32_t r;
  uint32_t b;
  uint32_t y;
  uint32_t rows;
  uint32_t n;
  uint32_t channels;
  float lo;
  float hi;
} ternc_scale_rows_f32_args;

/* y = requant(x w^T); w [out/slab][tile][slab][block]: a byte selects a sum of 4 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t block;
  uint32_t slab;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_t2_lut_args;

/* y = requant(conv(x, w)), groups 1, up 1; w [part][taps/chunk][out][chunk][group]: a byte (of 3: 5 bits) selects a sum of `group` channels; residual as in conv2d_i8_blocked */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  uint32_t group;
  uint32_t columns;
  uint32_t rows;
  uint32_t parts;
  uint32_t chunk;
  uint32_t held;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
  uint32_t r;
  int32_t y_m;
  int32_t r_m;
  int32_t sum_c;
  uint32_t sum_shift;
  int32_t sum_lo;
  int32_t sum_hi;
} ternc_conv2d_i8_t2_lut_args;

/* y = requant(x w^T), int8; w [ceil(out/4)][in][4] */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_blocked_args;

/* y = requant(conv(x, w)), int8, groups 1, up 1; w [ceil(out/4)][tap][in][4]; with a residual r then y = clamp((y*y_m + r*r_m + sum_c) >> sum_shift, sum_lo, sum_hi) */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
  uint32_t r;
  int32_t y_m;
  int32_t r_m;
  int32_t sum_c;
  uint32_t sum_shift;
  int32_t sum_lo;
  int32_t sum_hi;
} ternc_conv2d_i8_blocked_args;

/* y = requant(conv(x, w)), int8, kernel 3x3, stride 1, dilation 1, groups 1, up 1, in_c at most 1024; w int16 [ceil(out/4)][16][in][4]: 4 G w G^T of Winograd's F(2x2, 3x3); residual as in conv2d_i8_blocked */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
  uint32_t r;
  int32_t y_m;
  int32_t r_m;
  int32_t sum_c;
  uint32_t sum_shift;
  int32_t sum_lo;
  int32_t sum_hi;
} ternc_conv2d_i8_tiles_args;

/* y = requant(conv(x, w)), int8, groups in_c, up 1 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_depthwise_args;

/* y = requant(conv(x, w)), groups in_c, up 1; w as in conv2d_i8_t2 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_t2_taps_args;

/* y = requant(conv(x, w)), groups in_c, up 1; w for each output a count and so many bytes kind*taps + tap */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  uint32_t lines;
  int32_t x_zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_t2_lists_args;

/* y = requant(conv(x, w - w_zero[o])), int8 weights, int16 x */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i16_args;

/* y = requant(conv(x, w)), ternary weights, int16 x */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  uint32_t up_h;
  uint32_t up_w;
  uint32_t groups;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i16_t2_args;

/* y = requant(x (w - w_zero[o])^T), int16 x; w int8, or t2 when it is uint8 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t w_zero;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i16_args;

/* y = requant(a b), int16; m and c scalar */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t batch0;
  uint32_t batch1;
  uint32_t rows;
  uint32_t inner;
  uint32_t cols;
  uint32_t a_batch0;
  uint32_t a_batch1;
  uint32_t a_row;
  uint32_t a_inner;
  uint32_t b_batch0;
  uint32_t b_batch1;
  uint32_t b_inner;
  uint32_t b_col;
  int32_t m;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_matmul_i16_args;

/* y = clamp((a*ma + b*mb + (c << 16)) >> (16 + shift), lo, hi), int16 */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t ma;
  int32_t mb;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_add_i16_args;

/* y = requant(a*b), int16, scalar m and c */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t m;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_mul_i16_args;

/* y = clamp(floor((a*m)/(b << shift) + 1/2) + zero), int16; x/0: +-saturates, 0/0: zero */
typedef struct {
  uint32_t a;
  uint32_t b;
  uint32_t y;
  uint32_t d0;
  uint32_t d1;
  uint32_t d2;
  uint32_t d3;
  uint32_t d4;
  uint32_t d5;
  int32_t as0;
  int32_t as1;
  int32_t as2;
  int32_t as3;
  int32_t as4;
  int32_t as5;
  int32_t bs0;
  int32_t bs1;
  int32_t bs2;
  int32_t bs3;
  int32_t bs4;
  int32_t bs5;
  int32_t m;
  int32_t zero;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_div_i16_args;

/* y[i][ch][j] = requant(x[i][ch][j]) with m[ch], or n[ch] if that is there and x < 0, and c[ch] */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t n;
  uint32_t c;
  uint32_t y;
  uint32_t outer;
  uint32_t channels;
  uint32_t inner;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_affine_i16_args;

/* u = x + 2^15; segments[u >> 10] = first << 4 | step; y = (interpolated >> 4 with rounding) between nodes[first + ((u & 1023) >> step)] and the next, which have 4 fraction bits */
typedef struct {
  uint32_t x;
  uint32_t segments;
  uint32_t nodes;
  uint32_t y;
  uint32_t count;
} ternc_table_i16_args;

/* maximum over the window, padding never wins; of an empty window the lowest number */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
} ternc_maxpool_i16_args;

/* x float32: y = clamp(round_half_even(x / scale), lo, hi), int16, NaN gives 0; or x int16: y = x*scale, float32 */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t count;
  float scale;
  int32_t lo;
  int32_t hi;
} ternc_convert_i16_args;

/* y = requant(sum(x)) with multiplier m[m_count == 1 ? 0 : divisor - 1], scalar c; at most 2^16 taps */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t y;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t channels;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  int32_t pad_bottom;
  int32_t pad_right;
  uint32_t include_pad;
  uint32_t m_count;
  int32_t c;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_avgpool_i16_args;

/* d = max - x; t = (table[d >> 8] * table[256 + (d & 255)]) >> 32 (uint32); y = clamp(floor((t*multiplier + sum(t)*2^15) / (sum(t)*2^16)) + zero); n <= 2^16 */
typedef struct {
  uint32_t x;
  uint32_t table;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t multiplier;
  int32_t zero;
  int32_t lo;
  int32_t hi;
} ternc_softmax_i16_args;

/* as layernorm_i8, int16, with 2^20 for 2^12 and 43 for 51 */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t epsilon_lo;
  uint32_t epsilon_hi;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_layernorm_i16_args;

/* index (int32) of the maximum (minimum) over the middle axis */
typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t outer;
  uint32_t n;
  uint32_t inner;
  uint32_t select_last;
  uint32_t minimum;
} ternc_argmax_i16_args;

/* LSTM in integers, int8 weights, int16 x; cells carry cell_bits fraction bits */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i16_args;

/* LSTM in integers, ternary weights, int16 x; cells carry cell_bits fraction bits */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i16_t2_args;

/* GRU in integers, int8 weights, int16 x, c [z, r, n of x, n of h] */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i16_args;

/* GRU in integers, ternary weights, int16 x, c [z, r, n of x, n of h] */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i16_t2_args;

/* RNN in integers, int8 weights, int16 x */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i16_args;

/* RNN in integers, ternary weights, int16 x */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i16_t2_args;

/* lstm_i8; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i8_mixed_args;

/* gru_i8; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i8_mixed_args;

/* rnn_i8; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i8_mixed_args;

/* lstm_i16; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t cell_bits;
} ternc_lstm_i16_mixed_args;

/* gru_i16; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t linear_before_reset;
} ternc_gru_i16_mixed_args;

/* rnn_i16; rows of w and r are int8 or ternary */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t r;
  uint32_t m_w;
  uint32_t m_r;
  uint32_t c;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
} ternc_rnn_i16_mixed_args;

/* lstm_i8_t2; w: a byte selects a sum of 4 inputs or states */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
  uint32_t cell_bits;
} ternc_lstm_i8_t2_lut_args;

/* gru_i8_t2; w: a byte selects a sum of 4 inputs or states */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
  uint32_t linear_before_reset;
} ternc_gru_i8_t2_lut_args;

/* rnn_i8_t2; w: a byte selects a sum of 4 inputs or states */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
} ternc_rnn_i8_t2_lut_args;

/* lstm_i8, int8 weights in blocks of eight rows */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t c0;
  uint32_t y;
  uint32_t h_last;
  uint32_t c_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
  uint32_t cell_bits;
} ternc_lstm_i8_blocked_args;

/* gru_i8, int8 weights in blocks of eight rows */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
  uint32_t linear_before_reset;
} ternc_gru_i8_blocked_args;

/* rnn_i8, int8 weights in blocks of eight rows */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t h0;
  uint32_t y;
  uint32_t h_last;
  uint32_t scratch;
  uint32_t steps;
  uint32_t batch;
  uint32_t in_features;
  uint32_t hidden;
  uint32_t directions;
  uint32_t reverse;
  uint32_t shift;
  int32_t out_m;
  int32_t out_c;
  uint32_t out_shift;
  int32_t lo;
  int32_t hi;
  uint32_t h_shift;
} ternc_rnn_i8_blocked_args;

/* as dense_i8_t2_lut; w [out/slab][tile][slab][8]: a byte selects a sum of 5 activations */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t scratch;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t slab;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_t2_lut5_args;

/* as dense_i8_t2_lut; k int16 [out][2]: m = k[o][0] as uint16, e = m & 3, c = k[o][1]; y = clamp((acc*m + (c << c_shift)) >> (shift + e), lo, hi), c_shift 4 to 16, shift 1 to 28 */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t y;
  uint32_t scratch;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t block;
  uint32_t slab;
  uint32_t c_shift;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_t2_lut_short_args;

/* dense_i8_t2_lut5 with the constants of dense_i8_t2_lut_short */
typedef struct {
  uint32_t x;
  uint32_t w;
  uint32_t k;
  uint32_t y;
  uint32_t scratch;
  uint32_t rows;
  uint32_t in_features;
  uint32_t out_features;
  uint32_t slab;
  uint32_t c_shift;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_dense_i8_t2_lut5_short_args;

/* y = requant(conv(x, w)) with w in generated straight-line code; c holds c - m/2 */
typedef struct {
  uint32_t x;
  uint32_t m;
  uint32_t c;
  uint32_t y;
  uint32_t image;
  uint32_t n;
  uint32_t in_h;
  uint32_t in_w;
  uint32_t in_c;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t out_c;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
  int32_t x_zero;
  uint32_t strip;
  uint32_t chunks;
  uint32_t shift;
  int32_t lo;
  int32_t hi;
} ternc_conv2d_i8_lines_args;

/* Operands of generated code. */
#define TERNC_WORDS_conv2d_i8_lines 26
#define TERNC_KINDS_conv2d_i8_lines "iccosuuuuuuuuuuuuujjjuuujj"

#endif

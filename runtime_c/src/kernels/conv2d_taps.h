/* Which taps of a convolution window meet the input, along one axis (internal). */
#ifndef TERNC_CONV2D_TAPS_H
#define TERNC_CONV2D_TAPS_H

#include "../ternc_arith.h"

/* Tap k of output o is at position p = o*stride + k*dilation - pad of the stuffed input, which
 * holds input p/up where up divides p, and zeros elsewhere. Every `step`-th tap can meet an input,
 * and such taps are `in_step` inputs apart. */
typedef struct {
  uint32_t size, kernel, stride, dilation, up, step, in_step;
  int32_t pad;
} ternc_conv_axis;

/* The taps that meet an input: k, k + step ... (`count` of them), of which the first is on `in`. */
typedef struct {
  uint32_t k, count, in;
} ternc_conv_taps;

static inline int ternc_conv_axis_fits(uint32_t size, uint32_t kernel, uint32_t stride,
                                       uint32_t dilation, int32_t pad, uint32_t up, uint32_t out) {
  return ternc_is_dim(size) && ternc_is_dim(kernel) && ternc_is_dim(stride) &&
         ternc_is_dim(dilation) && ternc_is_dim(up) && ternc_is_dim(out) && ternc_is_offset(pad) &&
         (uint64_t)(out - 1) * stride + (uint64_t)(kernel - 1) * dilation <= 1u << 30;
}

static inline ternc_conv_axis ternc_conv_axis_of(uint32_t size, uint32_t kernel, uint32_t stride,
                                                 uint32_t dilation, int32_t pad, uint32_t up) {
  ternc_conv_axis axis;
  uint32_t a = up, b = dilation;
  while (b != 0) { /* a becomes the greatest common divisor */
    const uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  axis.size = size;
  axis.kernel = kernel;
  axis.stride = stride;
  axis.dilation = dilation;
  axis.up = up;
  axis.step = up / a;
  axis.in_step = dilation / a;
  axis.pad = pad;
  return axis;
}

static inline ternc_conv_taps ternc_conv_taps_of(const ternc_conv_axis *axis, uint32_t out) {
  const int32_t dilation = (int32_t)axis->dilation;
  ternc_conv_taps taps = {0, 0, 0};
  int32_t p = (int32_t)(out * axis->stride) - axis->pad;
  uint32_t k = 0, in;
  while (k < axis->kernel && (p < 0 || (axis->up > 1 && (uint32_t)p % axis->up != 0))) {
    k++;
    p += dilation;
  }
  if (k == axis->kernel) return taps;
  in = (uint32_t)p / axis->up;
  taps.k = k;
  taps.in = in;
  for (; k < axis->kernel && in < axis->size; k += axis->step, in += axis->in_step) taps.count++;
  return taps;
}

#endif

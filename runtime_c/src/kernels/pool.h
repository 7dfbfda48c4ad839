/* Windows of the pooling kernels (internal). */
#ifndef TERNC_POOL_H
#define TERNC_POOL_H

#include "fast.h"

/* The operand words from `n` to `pad_left`, which all pooling instructions share. */
typedef struct {
  uint32_t n, in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w;
  uint32_t dilation_h, dilation_w;
  int32_t pad_top, pad_left;
} ternc_pool;

/* Channels that are accumulated at once, in registers or on the stack. */
#define TERNC_POOL_LANES 8u

/* Window positions lie below this in magnitude, so that run computes them in int32_t. */
#define TERNC_POOL_LIMIT (1 << 28)

static inline int ternc_pool_small(int64_t value) {
  return value > -TERNC_POOL_LIMIT && value < TERNC_POOL_LIMIT;
}

static inline int ternc_pool_axis_fits(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride,
                                       uint32_t dilation, int32_t pad) {
  if (kernel == 0 || stride == 0 || dilation == 0) return 0;
  if (!ternc_pool_small(in) || !ternc_pool_small(out) || !ternc_pool_small(kernel) ||
      !ternc_pool_small(stride) || !ternc_pool_small(dilation) || !ternc_pool_small(pad)) {
    return 0;
  }
  return ternc_pool_small((int64_t)out * stride) && ternc_pool_small((int64_t)kernel * dilation);
}

static inline int ternc_pool_fits(const ternc_pool *p) {
  return ternc_pool_axis_fits(p->in_h, p->out_h, p->kernel_h, p->stride_h, p->dilation_h,
                              p->pad_top) &&
         ternc_pool_axis_fits(p->in_w, p->out_w, p->kernel_w, p->stride_w, p->dilation_w,
                              p->pad_left);
}

/* What the means add to that: divisors that fit, sums of int8 that stay in 32 bits. */
static inline int ternc_pool_mean_fits(const ternc_pool *p, int32_t pad_bottom,
                                       int32_t pad_right) {
  return ternc_pool_small(pad_bottom) && ternc_pool_small(pad_right) &&
         ternc_mul_sat(p->kernel_h, p->kernel_w) <= 1u << 22;
}

/* The shared words of an instruction. */
#define TERNC_POOL_WORDS(name, op)                 \
  ((const ternc_pool *)(const void *)((const uint32_t *)(op)->args + \
                                      offsetof(ternc_##name##_args, n) / sizeof(uint32_t)))

/* The geometry and the image of a pooling instruction. */
static inline ternc_status ternc_pool_check_x(const ternc_op *op, const ternc_pool *p, uint32_t x,
                                              uint32_t dtype) {
  const uint64_t pixels_in = ternc_mul_sat(ternc_mul_sat(p->n, p->in_h), p->in_w);
  if (!ternc_pool_fits(p)) return TERNC_E_OPERAND;
  return ternc_expect(op, x, dtype, ternc_mul_sat(pixels_in, p->channels));
}

/* Elements of the result. */
static inline uint64_t ternc_pool_outputs(const ternc_pool *p) {
  return ternc_mul_sat(ternc_mul_sat(ternc_mul_sat(p->n, p->out_h), p->out_w), p->channels);
}

/* Everything that the pooling instructions have in common. */
static inline ternc_status ternc_pool_check(const ternc_op *op, const ternc_pool *p, uint32_t x,
                                            uint32_t y, uint32_t dtype) {
  if (ternc_pool_check_x(op, p, x, dtype)) return TERNC_E_OPERAND;
  return ternc_expect(op, y, dtype, ternc_pool_outputs(p));
}

/* A row is one output pixel, all channels. */
static inline uint32_t ternc_pool_rows(const ternc_pool *p) {
  return p->channels == 0 ? 0 : p->n * p->out_h * p->out_w;
}

/* Taps first <= k < last of a window: those at positions start + k*dilation in [low, high). */
typedef struct {
  int32_t start, first, last;
} ternc_span;

static TERNC_UNUSED TERNC_NOINLINE ternc_span ternc_window(int32_t start, uint32_t dilation,
                                                           uint32_t kernel, int32_t low,
                                                           int32_t high) {
  const int32_t step = (int32_t)dilation;
  ternc_span span;
  span.start = start;
  span.first = start >= low ? 0 : (low - start + step - 1) / step;
  span.last = start >= high ? 0 : (high - start + step - 1) / step;
  if (span.last > (int32_t)kernel) span.last = (int32_t)kernel;
  if (span.first > span.last) span.first = span.last;
  return span;
}

/* Taps of output pixel `row` that are in the image; returns the image's number. */
static inline uint32_t ternc_pool_taps(const ternc_pool *p, uint32_t row, ternc_span *h,
                                       ternc_span *w) {
  const uint32_t line = row / p->out_w, column = row % p->out_w, image = line / p->out_h;
  *h = ternc_window((int32_t)((line - image * p->out_h) * p->stride_h) - p->pad_top,
                    p->dilation_h, p->kernel_h, 0, (int32_t)p->in_h);
  *w = ternc_window((int32_t)(column * p->stride_w) - p->pad_left, p->dilation_w, p->kernel_w, 0,
                    (int32_t)p->in_w);
  return image;
}

/* Element number of channel 0 under tap (kh, kw). */
static inline size_t ternc_pool_at(const ternc_pool *p, uint32_t image, const ternc_span *h,
                                   const ternc_span *w, int32_t kh, int32_t kw) {
  const size_t line = (size_t)(h->start + kh * (int32_t)p->dilation_h);
  const size_t column = (size_t)(w->start + kw * (int32_t)p->dilation_w);
  return (((size_t)image * p->in_h + line) * p->in_w + column) * p->channels;
}

/* Positions that a mean divides by: those in the image or, with include_pad, in the padded image
 * (what ceil_mode hangs over the padded image's edge never counts). */
static inline uint32_t ternc_pool_divisor(const ternc_pool *p, const ternc_span *h,
                                          const ternc_span *w, int32_t pad_bottom,
                                          int32_t pad_right, uint32_t include_pad) {
  ternc_span tall = *h, wide = *w;
  if (include_pad != 0) {
    tall = ternc_window(h->start, p->dilation_h, p->kernel_h, -p->pad_top,
                        (int32_t)p->in_h + pad_bottom);
    wide = ternc_window(w->start, p->dilation_w, p->kernel_w, -p->pad_left,
                        (int32_t)p->in_w + pad_right);
  }
  return (uint32_t)(tall.last - tall.first) * (uint32_t)(wide.last - wide.first);
}

#endif

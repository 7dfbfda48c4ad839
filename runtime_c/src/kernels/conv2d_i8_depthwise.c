/* Convolution with one input channel per group, int8 weights. Each channel is gathered into a plane
 * of its own, padding included, so that a window is a few runs of bytes at fixed distances. */
#include "conv2d_taps.h"
#include "fast.h"

typedef ternc_conv2d_i8_depthwise_args depthwise_args;

typedef struct {
  uint32_t height, width; /* of the plane: all that the outputs' windows cover */
} depthwise_plane;

static depthwise_plane plane_of(const depthwise_args *a) {
  depthwise_plane p;
  p.height = (a->out_h - 1) * a->stride_h + (a->kernel_h - 1) * a->dilation_h + 1;
  p.width = (a->out_w - 1) * a->stride_w + (a->kernel_w - 1) * a->dilation_w + 1;
  return p;
}

static ternc_status check_conv2d_i8_depthwise(const ternc_op *op) {
  const depthwise_args *a = (const depthwise_args *)op->args;
  depthwise_plane p;
  if (ternc_depthwise_check(op, a->x_zero, TERNC_REQUANT_OF(a))) return TERNC_E_OPERAND;
  p = plane_of(a);
  if (ternc_expect(op, a->w, TERNC_I8,
                   ternc_mul_sat((uint64_t)a->kernel_h * a->kernel_w, a->out_c)) ||
      ternc_expect(op, a->scratch, TERNC_I8, (uint64_t)p.height * p.width)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* The part of the plane that lies on the image: the rest is padding, the same for all channels. */
static TERNC_NOINLINE void gather(const depthwise_args *a, const depthwise_plane *p,
                                  const int8_t *x, int8_t *plane) {
  const int32_t top = a->pad_top, left = a->pad_left;
  const uint32_t skip = left < 0 ? 0 : (uint32_t)left; /* plane columns before the image */
  const uint32_t from = left < 0 ? (uint32_t)-left : 0;
  const size_t step = a->in_c;
  uint32_t row, count;
  if (skip >= p->width || from >= a->in_w) return;
  count = p->width - skip < a->in_w - from ? p->width - skip : a->in_w - from;
  for (row = 0; row < p->height; row++, plane += p->width) {
    const uint32_t r = (uint32_t)((int32_t)row - top);
    const int8_t *in = x + ((size_t)r * a->in_w + from) * step;
    int8_t *out = plane + skip, *const end = out + count, *const most = end - (count & 1u);
    if (r >= a->in_h) continue;
    for (; out != most; out += 2, in += 2 * step) {
      const int8_t v0 = in[0], v1 = in[step];
      out[0] = v0;
      out[1] = v1;
    }
    if (out != end) *out = *in;
  }
}

/* All outputs of a channel whose window is 3 x 3, its weights in registers. */
TERNC_IN_ORDER static TERNC_NOINLINE void channel_3x3(const depthwise_args *a, const depthwise_plane *p,
                                       const int8_t *plane, const int8_t *w, int32_t m, int32_t c,
                                       int8_t *y) {
  const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5];
  const int32_t w6 = w[6], w7 = w[7], w8 = w[8], lo = a->lo, hi = a->hi;
  const uint32_t shift = a->shift, stride = a->stride_w;
  const size_t step = a->out_c, next = (size_t)a->dilation_h * p->width;
  uint32_t row;
  for (row = 0; row < a->out_h; row++) {
    const int8_t *r0 = plane + (size_t)row * a->stride_h * p->width, *r1 = r0 + next;
    const int8_t *r2 = r1 + next, *const end = r0 + a->out_w * stride;
    for (; r0 != end; r0 += stride, r1 += stride, r2 += stride, y += step) {
      int32_t v0 = r0[0], v1 = r0[1], v2 = r0[2], sum = v0 * w0; /* loads ahead of their use */
      v0 = r1[0];
      sum += v1 * w1;
      v1 = r1[1];
      sum += v2 * w2;
      v2 = r1[2];
      sum += v0 * w3;
      v0 = r2[0];
      sum += v1 * w4;
      v1 = r2[1];
      sum += v2 * w5;
      v2 = r2[2];
      sum += v0 * w6 + v1 * w7 + v2 * w8;
      *y = (int8_t)ternc_requant32((uint32_t)sum, m, c, shift, lo, hi);
    }
  }
}

/* All outputs of a channel. */
static TERNC_NOINLINE void channel(const depthwise_args *a, const depthwise_plane *p,
                                   const int8_t *plane, const int8_t *w, int32_t m, int32_t c,
                                   int8_t *y) {
  uint32_t row, column, i, j;
  for (row = 0; row < a->out_h; row++) {
    for (column = 0; column < a->out_w; column++, y += a->out_c) {
      const int8_t *line = plane + (size_t)row * a->stride_h * p->width + column * a->stride_w;
      const int8_t *v = w;
      uint32_t sum = 0;
      for (i = 0; i < a->kernel_h; i++, line += (size_t)a->dilation_h * p->width) {
        const int8_t *at = line;
        for (j = 0; j < a->kernel_w; j++, at += a->dilation_w) sum += (uint32_t)(*at * *v++);
      }
      *y = (int8_t)ternc_requant32(sum, m, c, a->shift, a->lo, a->hi);
    }
  }
}

static void run_conv2d_i8_depthwise(const ternc_op *op, uint32_t begin, uint32_t end) {
  const depthwise_args a = *(const depthwise_args *)op->args; /* a copy, which no store can change */
  const depthwise_plane p = plane_of(&a);
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
  int8_t *y = (int8_t *)ternc_data(op, a.y), *plane = (int8_t *)ternc_data(op, a.scratch);
  const uint32_t per_input = a.out_c / a.groups, taps = a.kernel_h * a.kernel_w;
  const int usual = a.kernel_h == 3 && a.kernel_w == 3 && a.dilation_w == 1;
  uint32_t image, i, o;
  size_t at;
  (void)begin; /* the scratch is one: the work does not divide */
  (void)end;
  for (at = 0; at < (size_t)p.height * p.width; at++) plane[at] = (int8_t)a.x_zero;
  for (image = 0; image < a.n; image++) {
    const int8_t *w = (const int8_t *)ternc_data(op, a.w);
    for (i = 0, o = 0; i < a.in_c; i++) {
      const uint32_t last = o + per_input;
      gather(&a, &p, x + i, plane);
      for (; o < last; o++, w += taps) {
        if (usual) channel_3x3(&a, &p, plane, w, m[o], c[o], y + o);
        else channel(&a, &p, plane, w, m[o], c[o], y + o);
      }
    }
    x += (size_t)a.in_h * a.in_w * a.in_c;
    y += (size_t)a.out_h * a.out_w * a.out_c;
  }
}

TERNC_KERNEL(conv2d_i8_depthwise, check_conv2d_i8_depthwise, NULL, run_conv2d_i8_depthwise)

/* Convolution, int8 weights in blocks of four outputs, two output pixels at a time. A pixel's
 * window is copied to scratch, padding included, unless it is one run of the input already. */
/* Where TERNC_NO_RESIDUAL is defined this is the form of it that adds none. */
#include "block4.h"
#include "conv2d_taps.h"

#ifdef TERNC_NO_RESIDUAL
#define NO_RESIDUAL 1
#else
#define NO_RESIDUAL 0
#endif

typedef ternc_conv2d_i8_blocked_args blocked_args;

static uint64_t taps_of(const blocked_args *a) {
  return ternc_mul_sat((uint64_t)a->kernel_h * a->kernel_w, a->in_c);
}

TERNC_COLD static ternc_status check_conv2d_i8_blocked(const ternc_op *op) {
  const blocked_args *a = (const blocked_args *)op->args;
  if (ternc_conv_check(op, a->x_zero, TERNC_REQUANT_OF(a), TERNC_RESIDUAL_OF(a)) ||
      taps_of(a) > 0x7fffffffu || (NO_RESIDUAL && a->r != TERNC_NONE) ||
      ternc_expect(op, a->w, TERNC_I8, ternc_mul_sat((a->out_c + 3) & ~3u, taps_of(a))) ||
      ternc_expect(op, a->scratch, TERNC_I8, 2 * taps_of(a))) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

TERNC_INLINE int8_t *copy(int8_t *to, const int8_t *from, uint32_t count) {
  const int8_t *const end = from + (count & ~3u);
  for (; from != end; from += 4, to += 4) {
    const int8_t v0 = from[0], v1 = from[1], v2 = from[2], v3 = from[3];
    to[0] = v0;
    to[1] = v1;
    to[2] = v2;
    to[3] = v3;
  }
  for (count &= 3u; count > 0; count--) *to++ = *from++;
  return to;
}

TERNC_INLINE int8_t *repeat(int8_t *to, int32_t value, uint32_t count) {
  for (; count > 0; count--) *to++ = (int8_t)value;
  return to;
}

/* The window of output (row, column): where it lies in x, or its copy in `to`. */
static TERNC_NOINLINE const int8_t *window(const blocked_args *a, const int8_t *x, uint32_t row,
                                           uint32_t column, int in_place, int8_t *to) {
  const int32_t top = (int32_t)(row * a->stride_h) - a->pad_top;
  const int32_t left = (int32_t)(column * a->stride_w) - a->pad_left;
  const uint32_t line = a->kernel_w * a->in_c;
  const int close = a->dilation_w == 1 || a->kernel_w == 1;
  const int inside = left >= 0 && (uint32_t)left + (a->kernel_w - 1) * a->dilation_w < a->in_w;
  int8_t *const begin = to;
  uint32_t ky, kx;
  for (ky = 0; ky < a->kernel_h; ky++) {
    const uint32_t r = (uint32_t)(top + (int32_t)(ky * a->dilation_h));
    const int8_t *from = x + ((size_t)r * a->in_w) * a->in_c;
    if (r >= a->in_h) {
      to = repeat(to, a->x_zero, line);
    } else if (close && inside) {
      from += (uint32_t)left * a->in_c;
      if (a->kernel_h == 1 && !in_place) return from;
      to = copy(to, from, line);
    } else {
      for (kx = 0; kx < a->kernel_w; kx++) {
        const uint32_t at = (uint32_t)(left + (int32_t)(kx * a->dilation_w));
        if (at < a->in_w) to = copy(to, from + (size_t)at * a->in_c, a->in_c);
        else to = repeat(to, a->x_zero, a->in_c);
      }
    }
  }
  return begin;
}

TERNC_OUTER static void run_conv2d_i8_blocked(const ternc_op *op, uint32_t begin, uint32_t end) {
  const blocked_args a = *(const blocked_args *)op->args; /* a copy, which no store can change */
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const int8_t *w = (const int8_t *)ternc_data(op, a.w);
  int8_t *y = (int8_t *)ternc_data(op, a.y), *scratch = (int8_t *)ternc_data(op, a.scratch);
  const uint32_t taps = (uint32_t)taps_of(&a), pixels = a.out_h * a.out_w;
  const int8_t *first = NULL;
  const int in_place = x == y; /* outputs overwrite the pixels that they are made of */
  uint32_t image, row, column;
  ternc_block4 k;
  k.m = (const int32_t *)ternc_data(op, a.m);
  k.c = (const int32_t *)ternc_data(op, a.c);
  k.outputs = a.out_c;
  k.shift = a.shift;
  k.lo = a.lo;
  k.hi = a.hi;
  k.add = a.r == TERNC_NONE ? NULL : TERNC_RESIDUAL_OF(&a);
  k.r = (const int8_t *)ternc_data(op, a.r);
  k.y = y;
  (void)begin; /* the scratch is one: the work does not divide */
  (void)end;
  for (image = 0; image < a.n; image++, x += (size_t)a.in_h * a.in_w * a.in_c) {
    uint32_t left = pixels;
    for (row = 0; row < a.out_h; row++) {
      for (column = 0; column < a.out_w; column++, left--) {
        if (first == NULL) {
          first = window(&a, x, row, column, in_place, scratch);
          if (left > 1) continue; /* its partner is next */
          ternc_block4_two(&k, first, first, taps, w, y, y);
          y += a.out_c;
        } else {
          const int8_t *second = window(&a, x, row, column, in_place, scratch + taps);
          ternc_block4_two(&k, first, second, taps, w, y, y + a.out_c);
          y += 2 * a.out_c;
        }
        first = NULL;
      }
    }
  }
}

#if NO_RESIDUAL
TERNC_KERNEL_FORM(conv2d_i8_blocked_one, conv2d_i8_blocked, check_conv2d_i8_blocked, NULL,
                  run_conv2d_i8_blocked)
#else
TERNC_KERNEL(conv2d_i8_blocked, check_conv2d_i8_blocked, NULL, run_conv2d_i8_blocked)
#endif

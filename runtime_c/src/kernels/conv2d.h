/* Template of the convolution kernels; parameters as in mac.h. A row is one output pixel or, when
 * there is only one, an output channel: so the work always divides. */
#include "conv2d_taps.h"
#include "fast.h"
#include "mac.h"

/* What stays the same through a run. */
typedef struct {
  ternc_conv_axis h, w;
  uint32_t group_in, group_out; /* channels of a group */
  size_t row, pixel;            /* elements from one tap that meets the input to the next */
  size_t w_row, w_pixel;        /* the same for weights */
} MAC_FN(geometry);

TERNC_COLD static ternc_status MAC_FN(check)(const ternc_op *op) {
  const MAC_ARGS *args = (const MAC_ARGS *)op->args;
  uint64_t x_count, w_count, y_count;
  if (!ternc_is_dim(args->n) || !ternc_is_dim(args->in_c) || !ternc_is_dim(args->out_c) ||
      !ternc_is_dim(args->groups) || args->in_c % args->groups != 0 ||
      args->out_c % args->groups != 0 ||
      !ternc_conv_axis_fits(args->in_h, args->kernel_h, args->stride_h, args->dilation_h,
                            args->pad_top, args->up_h, args->out_h) ||
      !ternc_conv_axis_fits(args->in_w, args->kernel_w, args->stride_w, args->dilation_w,
                            args->pad_left, args->up_w, args->out_w)) {
    return TERNC_E_OPERAND;
  }
#if MAC_X == MAC_I8
  if (!ternc_is_i8(args->x_zero)) return TERNC_E_OPERAND;
#endif
  x_count = ternc_mul_sat(ternc_mul_sat((uint64_t)args->n * args->in_h, args->in_w), args->in_c);
  w_count = ternc_mul_sat(ternc_mul_sat((uint64_t)args->kernel_h * args->kernel_w, args->out_c),
                          args->in_c / args->groups);
  y_count = ternc_mul_sat(ternc_mul_sat((uint64_t)args->n * args->out_h, args->out_w), args->out_c);
  return MAC_FN(fits)(op, args, x_count, w_count, args->out_c, y_count) ? TERNC_OK
                                                                         : TERNC_E_OPERAND;
}

static uint32_t MAC_FN(rows)(const ternc_op *op) {
  const MAC_ARGS *args = (const MAC_ARGS *)op->args;
  const uint32_t pixels = args->n * args->out_h * args->out_w;
  return pixels == 1 ? args->out_c : pixels;
}

#define INSIDE_FN MAC_FN(inside)
#define INSIDE_SUM MAC_SUM
#define INSIDE_DOT(x, x_step, at, w_step, n) MAC_FN(dot)(x, x_step, k->w, at, w_step, n, zero)
#include "conv2d_inside.h"

#if MAC_X == MAC_I16
/* The same where all taps together are at most a part: no sum leaves 32 bits. */
#define INSIDE_FN MAC_FN(inside_part)
#define INSIDE_SUM int32_t
#define INSIDE_DOT(x, x_step, at, w_step, n) MAC_FN(part)(x, x_step, k->w, at, w_step, n)
#include "conv2d_inside.h"

#if MAC_W == MAC_T2
#define FOUR_W(at) ternc_t2(k->w, at)
#else
#define FOUR_W(at) k->w[at]
#endif
/* The sums of four neighbouring channels, each of which has one input channel of its own. */
static TERNC_NOINLINE void MAC_FN(four)(const MAC_FN(mac) *k, const MAC_FN(geometry) *g,
                                        const int16_t *x, uint32_t o, const ternc_conv_taps *h,
                                        const ternc_conv_taps *w, int32_t *sums) {
  const size_t taps = (size_t)g->h.kernel * g->w.kernel, pixel = g->pixel, step = g->w_pixel;
  size_t line = o * taps + (size_t)h->k * g->w.kernel + w->k;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  uint32_t i, j;
  for (i = 0; i < h->count; i++, x += g->row, line += g->w_row) {
    const int16_t *v = x;
    size_t at = line;
    for (j = w->count; j > 0; j--, v += pixel, at += step) {
      s0 += v[0] * FOUR_W(at);
      s1 += v[1] * FOUR_W(at + taps);
      s2 += v[2] * FOUR_W(at + 2 * taps);
      s3 += v[3] * FOUR_W(at + 3 * taps);
    }
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}
#undef FOUR_W
#endif

#if MAC_X == MAC_I8
/* Sum of n weights less their zero point. */
static MAC_SUM MAC_FN(weights)(const MAC_W_TYPE *w, size_t at, uint32_t n, uint32_t zero) {
  uint32_t sum = 0u - n * zero;
  for (; n > 0; n--, at++) {
#if MAC_W == MAC_T2
    const int32_t v = ternc_t2(w, at);
#else
    const int32_t v = w[at];
#endif
    sum += (uint32_t)v;
  }
  return sum;
}

/* The sum of the weights of all taps that miss the input: they read x_zero. */
static MAC_SUM MAC_FN(outside)(const MAC_FN(mac) *k, const MAC_FN(geometry) *g, uint32_t o,
                               uint32_t zero, const ternc_conv_taps *h, const ternc_conv_taps *w) {
  const uint32_t channels = g->group_in;
  size_t at = (size_t)o * g->h.kernel * g->w.kernel * channels;
  ternc_conv_taps rows = *h;
  uint32_t sum = 0, i, j;
  for (i = 0; i < g->h.kernel; i++) {
    ternc_conv_taps columns = *w;
    if (rows.count == 0 || rows.k != i) {
      columns.count = 0;
    } else {
      rows.k += g->h.step;
      rows.count--;
    }
    for (j = 0; j < g->w.kernel; j++, at += channels) {
      if (columns.count == 0 || columns.k != j) {
        sum += MAC_FN(weights)(k->w, at, channels, zero);
      } else {
        columns.k += g->w.step;
        columns.count--;
      }
    }
  }
  return sum;
}
#endif

#if MAC_X == MAC_I16
#define INSIDE forms[few]
#else
#define INSIDE MAC_FN(inside)
#endif
static void MAC_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const MAC_ARGS args = *(const MAC_ARGS *)op->args; /* a copy, which no store to y can change */
  const MAC_FN(mac) k = MAC_FN(bind)(op, &args);
  const int single = args.n * args.out_h * args.out_w == 1;
  const uint32_t first = single ? begin : 0, last = single ? end : args.out_c;
#if MAC_X == MAC_I16
  const uint64_t taps = (uint64_t)args.kernel_h * args.kernel_w * (args.in_c / args.groups);
  /* Called through a pointer, so that neither is inlined: in one function, the inner loops would
   * not have the registers that they need. */
  MAC_SUM (*const forms[2])(const MAC_FN(mac) *, const MAC_FN(geometry) *, const MAC_X_TYPE *,
                            uint32_t, uint32_t, const ternc_conv_taps *,
                            const ternc_conv_taps *) = {MAC_FN(inside), MAC_FN(inside_part)};
  const int few = taps <= MAC_PART && k.w_zero == NULL;
  const int depthwise = few && args.groups == args.in_c && args.groups == args.out_c;
#endif
  const int backwards = ternc_backwards(k.x, k.y);
  MAC_FN(geometry) g;
  uint32_t o;
  g.h = ternc_conv_axis_of(args.in_h, args.kernel_h, args.stride_h, args.dilation_h, args.pad_top,
                           args.up_h);
  g.w = ternc_conv_axis_of(args.in_w, args.kernel_w, args.stride_w, args.dilation_w, args.pad_left,
                           args.up_w);
  g.group_in = args.in_c / args.groups;
  g.group_out = args.out_c / args.groups;
  g.row = (size_t)g.h.in_step * args.in_w * args.in_c;
  g.pixel = (size_t)g.w.in_step * args.in_c;
  g.w_row = (size_t)g.h.step * args.kernel_w * g.group_in;
  g.w_pixel = (size_t)g.w.step * g.group_in;
  if (single) {
    begin = 0;
    end = 1;
  }
  while (begin < end) {
    const uint32_t pixel = backwards ? --end : begin++;
    const uint32_t line = pixel / args.out_w, image = line / args.out_h;
    const ternc_conv_taps h = ternc_conv_taps_of(&g.h, line % args.out_h);
    const ternc_conv_taps w = ternc_conv_taps_of(&g.w, pixel % args.out_w);
    const MAC_X_TYPE *x =
        k.x + (((size_t)image * args.in_h + h.in) * args.in_w + w.in) * args.in_c;
    const int meets = h.count > 0 && w.count > 0;
#if MAC_X == MAC_I8
    const int misses = args.x_zero != 0 && (h.count < g.h.kernel || w.count < g.w.kernel);
#endif
    o = first;
#if MAC_X == MAC_I16
    for (; depthwise && last - o >= 4; o += 4) {
      int32_t sums[4] = {0, 0, 0, 0};
      uint32_t i;
      if (meets) MAC_FN(four)(&k, &g, x + o, o, &h, &w, sums);
      for (i = 0; i < 4; i++) {
        ternc_put(k.y, (size_t)pixel * args.out_c + o + i, k.narrow,
                  ternc_requant(sums[i], k.m[o + i], k.c[o + i], args.shift, args.lo, args.hi));
      }
    }
#endif
    for (; o < last; o++) {
      const uint32_t zero = MAC_FN(zero)(&k, o);
      MAC_SUM sum = 0;
      if (meets) {
        sum = INSIDE(&k, &g, x + o / g.group_out * (size_t)g.group_in, o, zero, &h, &w);
      }
#if MAC_X == MAC_I8
      if (misses) sum += (uint32_t)args.x_zero * MAC_FN(outside)(&k, &g, o, zero, &h, &w);
#endif
      MAC_FN(store)(&k, &args, (size_t)pixel * args.out_c + o, o, sum);
    }
  }
}

#undef INSIDE
#include "mac_end.h"

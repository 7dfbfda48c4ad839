/* Template: mean over windows of an NHWC image of integers; the division is part of the
 * requantization. No include guard: it is included once per kernel, with AVGPOOL_NAME (the
 * instruction) and AVGPOOL_BITS, 8 or 16, of x. */
#include "pool.h"

#define AVGPOOL_PASTE2(a, b) a##_##b
#define AVGPOOL_PASTE(a, b) AVGPOOL_PASTE2(a, b)
#define AVGPOOL_FN(f) AVGPOOL_PASTE(f, AVGPOOL_NAME)
#define AVGPOOL_ARGS AVGPOOL_PASTE(AVGPOOL_PASTE(ternc, AVGPOOL_NAME), args)
#define AVGPOOL_WORDS(name, op) TERNC_POOL_WORDS(name, op)
#if AVGPOOL_BITS == 8
#define AVGPOOL_TYPE int8_t
#else
#include "wide.h"
#define AVGPOOL_TYPE int16_t
#endif

TERNC_COLD static ternc_status AVGPOOL_FN(check)(const ternc_op *op) {
  const AVGPOOL_ARGS *args = (const AVGPOOL_ARGS *)op->args;
  const ternc_pool *p = AVGPOOL_WORDS(AVGPOOL_NAME, op);
  if (!ternc_pool_mean_fits(p, args->pad_bottom, args->pad_right) || args->m_count == 0 ||
      (args->m_count != 1 && args->m_count < p->kernel_h * p->kernel_w) ||
      ternc_expect(op, args->m, TERNC_I32, args->m_count)) {
    return TERNC_E_OPERAND;
  }
#if AVGPOOL_BITS == 8
  if (!ternc_is_i8(args->x_zero) || !ternc_is_requant(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return ternc_pool_check(op, p, args->x, args->y, TERNC_I8);
#else
  /* 2^16 numbers of 16 bits stay in 32. */
  if (args->shift > TERNC_MAX_SHIFT || ternc_mul_sat(p->kernel_h, p->kernel_w) > 1u << 16 ||
      ternc_pool_check_x(op, p, args->x, TERNC_I16) ||
      !ternc_wide_fits(op, args->y, ternc_pool_outputs(p), args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
#endif
}

static uint32_t AVGPOOL_FN(rows)(const ternc_op *op) {
  return ternc_pool_rows(AVGPOOL_WORDS(AVGPOOL_NAME, op));
}

TERNC_OUTER static void AVGPOOL_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const AVGPOOL_ARGS *args = (const AVGPOOL_ARGS *)op->args;
  const ternc_pool *p = AVGPOOL_WORDS(AVGPOOL_NAME, op);
  const AVGPOOL_TYPE *x = (const AVGPOOL_TYPE *)ternc_data(op, args->x);
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  const size_t right = (size_t)p->dilation_w * p->channels;
  const size_t down = (size_t)p->dilation_h * p->in_w * p->channels;
  void *y = ternc_data(op, args->y);
  const int backwards = ternc_backwards(x, y);
#if AVGPOOL_BITS == 16
  const int narrow = ternc_is_narrow(op, args->y);
#endif
  while (begin < end) {
    const uint32_t row = backwards ? --end : begin++;
    const size_t to = (size_t)row * p->channels;
    ternc_span h, w;
    const uint32_t image = ternc_pool_taps(p, row, &h, &w);
    const uint32_t divisor = ternc_pool_divisor(p, &h, &w, args->pad_bottom, args->pad_right,
                                                args->include_pad);
    /* An empty window has the sum 0, whatever multiplies it. */
    const int32_t scale = m[args->m_count == 1 || divisor == 0 ? 0 : divisor - 1];
    const int32_t rows = h.last - h.first, columns = w.last - w.first;
    size_t at = ternc_pool_at(p, image, &h, &w, h.first, w.first);
    uint32_t ch;
    for (ch = 0; ch < p->channels; ch++, at++) {
      int32_t sum = 0, i, k;
      size_t line = at;
      for (i = 0; i < rows; i++, line += down) {
        size_t tap = line;
        for (k = 0; k < columns; k++, tap += right) sum += x[tap];
      }
#if AVGPOOL_BITS == 8
      sum -= rows * columns * args->x_zero;
      ((int8_t *)y)[to + ch] = (int8_t)ternc_requant(sum, scale, args->c, args->shift, args->lo, args->hi);
#else
      ternc_put(y, to + ch, narrow,
                ternc_requant(sum, scale, args->c, args->shift, args->lo, args->hi));
#endif
    }
  }
}

#undef AVGPOOL_NAME
#undef AVGPOOL_BITS
#undef AVGPOOL_TYPE
#undef AVGPOOL_PASTE2
#undef AVGPOOL_PASTE
#undef AVGPOOL_FN
#undef AVGPOOL_ARGS
#undef AVGPOOL_WORDS

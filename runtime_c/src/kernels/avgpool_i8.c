/* Mean over windows of an NHWC image, int8: the division is part of the requantization. */
#include "pool.h"

static ternc_status check_avgpool_i8(const ternc_op *op) {
  const ternc_avgpool_i8_args *args = (const ternc_avgpool_i8_args *)op->args;
  const ternc_pool *p = TERNC_POOL_WORDS(avgpool_i8, op);
  if (!ternc_pool_mean_fits(p, args->pad_bottom, args->pad_right) || args->m_count == 0 ||
      (args->m_count != 1 && args->m_count < p->kernel_h * p->kernel_w) ||
      ternc_expect(op, args->m, TERNC_I32, args->m_count) || !ternc_is_i8(args->x_zero) ||
      !ternc_is_requant(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return ternc_pool_check(op, p, args->x, args->y, TERNC_I8);
}

static uint32_t rows_avgpool_i8(const ternc_op *op) {
  return ternc_pool_rows(TERNC_POOL_WORDS(avgpool_i8, op));
}

static void run_avgpool_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_avgpool_i8_args *args = (const ternc_avgpool_i8_args *)op->args;
  const ternc_pool *p = TERNC_POOL_WORDS(avgpool_i8, op);
  const int8_t *x = (const int8_t *)ternc_data(op, args->x);
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  int8_t *y = (int8_t *)ternc_data(op, args->y) + (size_t)begin * p->channels;
  for (; begin < end; begin++, y += p->channels) {
    ternc_span h, w;
    const uint32_t image = ternc_pool_taps(p, begin, &h, &w);
    const uint32_t divisor = ternc_pool_divisor(p, &h, &w, args->pad_bottom, args->pad_right,
                                                args->include_pad);
    /* An empty window has the sum 0, whatever multiplies it. */
    const int32_t scale = m[args->m_count == 1 || divisor == 0 ? 0 : divisor - 1];
    const int32_t zeros = (h.last - h.first) * (w.last - w.first) * args->x_zero;
    uint32_t first, lanes, ch;
    for (first = 0; first < p->channels; first += lanes) {
      int32_t sum[TERNC_POOL_LANES] = {0};
      int32_t kh, kw;
      lanes = p->channels - first < TERNC_POOL_LANES ? p->channels - first : TERNC_POOL_LANES;
      for (kh = h.first; kh < h.last; kh++) {
        for (kw = w.first; kw < w.last; kw++) {
          const int8_t *tap = x + ternc_pool_at(p, image, &h, &w, kh, kw) + first;
          for (ch = 0; ch < lanes; ch++) sum[ch] += tap[ch];
        }
      }
      for (ch = 0; ch < lanes; ch++) {
        y[first + ch] = (int8_t)ternc_requant(sum[ch] - zeros, scale, args->c, args->shift,
                                              args->lo, args->hi);
      }
    }
  }
}

TERNC_KERNEL(avgpool_i8, check_avgpool_i8, rows_avgpool_i8, run_avgpool_i8)

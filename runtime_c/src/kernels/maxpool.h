/* Template: maximum over windows of an NHWC image. No include guard: it is included once per kernel,
 * with MAXPOOL_NAME (the instruction), MAXPOOL_TYPE, MAXPOOL_DTYPE, MAXPOOL_LOWEST (of an empty
 * window) and, where that is less, MAXPOOL_LEAST (which no element is below). */
#include "pool.h"

#ifndef MAXPOOL_LEAST
#define MAXPOOL_LEAST MAXPOOL_LOWEST
#endif
#define MAXPOOL_PASTE2(a, b) a##_##b
#define MAXPOOL_PASTE(a, b) MAXPOOL_PASTE2(a, b)
#define MAXPOOL_FN(f) MAXPOOL_PASTE(f, MAXPOOL_NAME)
#define MAXPOOL_ARGS MAXPOOL_PASTE(MAXPOOL_PASTE(ternc, MAXPOOL_NAME), args)
#define MAXPOOL_WORDS(name, op) TERNC_POOL_WORDS(name, op)

static ternc_status MAXPOOL_FN(check)(const ternc_op *op) {
  const MAXPOOL_ARGS *args = (const MAXPOOL_ARGS *)op->args;
  return ternc_pool_check(op, MAXPOOL_WORDS(MAXPOOL_NAME, op), args->x, args->y, MAXPOOL_DTYPE);
}

static uint32_t MAXPOOL_FN(rows)(const ternc_op *op) {
  return ternc_pool_rows(MAXPOOL_WORDS(MAXPOOL_NAME, op));
}

static void MAXPOOL_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const MAXPOOL_ARGS *args = (const MAXPOOL_ARGS *)op->args;
  const ternc_pool *p = MAXPOOL_WORDS(MAXPOOL_NAME, op);
  const MAXPOOL_TYPE *x = (const MAXPOOL_TYPE *)ternc_data(op, args->x);
  MAXPOOL_TYPE *first = (MAXPOOL_TYPE *)ternc_data(op, args->y);
  const int backwards = ternc_backwards(x, first);
  while (begin < end) {
    const uint32_t row = backwards ? --end : begin++;
    MAXPOOL_TYPE *y = first + (size_t)row * p->channels;
    ternc_span h, w;
    const uint32_t image = ternc_pool_taps(p, row, &h, &w);
    const int empty = h.first >= h.last || w.first >= w.last;
    int32_t kh, kw;
    uint32_t ch;
    for (ch = 0; ch < p->channels; ch++) y[ch] = empty ? MAXPOOL_LOWEST : MAXPOOL_LEAST;
    for (kh = h.first; kh < h.last; kh++) {
      for (kw = w.first; kw < w.last; kw++) {
        const MAXPOOL_TYPE *tap = x + ternc_pool_at(p, image, &h, &w, kh, kw);
        for (ch = 0; ch < p->channels; ch++) {
          if (tap[ch] > y[ch]) y[ch] = tap[ch];
        }
      }
    }
  }
}

#undef MAXPOOL_NAME
#undef MAXPOOL_TYPE
#undef MAXPOOL_DTYPE
#undef MAXPOOL_LOWEST
#undef MAXPOOL_LEAST
#undef MAXPOOL_PASTE2
#undef MAXPOOL_PASTE
#undef MAXPOOL_FN
#undef MAXPOOL_ARGS
#undef MAXPOOL_WORDS

/* Maximum over windows of an NHWC image, float32. */
#include "pool.h"

static ternc_status check_maxpool_f32(const ternc_op *op) {
  const ternc_maxpool_f32_args *args = (const ternc_maxpool_f32_args *)op->args;
  return ternc_pool_check(op, TERNC_POOL_WORDS(maxpool_f32, op), args->x, args->y, TERNC_F32);
}

static uint32_t rows_maxpool_f32(const ternc_op *op) {
  return ternc_pool_rows(TERNC_POOL_WORDS(maxpool_f32, op));
}

static void run_maxpool_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_maxpool_f32_args *args = (const ternc_maxpool_f32_args *)op->args;
  const ternc_pool *p = TERNC_POOL_WORDS(maxpool_f32, op);
  const float *x = (const float *)ternc_data(op, args->x);
  float *y = (float *)ternc_data(op, args->y) + (size_t)begin * p->channels;
  const float lowest = ternc_bits_float(0xff7fffffu); /* as onnxruntime */
  for (; begin < end; begin++, y += p->channels) {
    ternc_span h, w;
    const uint32_t image = ternc_pool_taps(p, begin, &h, &w);
    int32_t kh, kw;
    uint32_t ch;
    for (ch = 0; ch < p->channels; ch++) y[ch] = lowest;
    for (kh = h.first; kh < h.last; kh++) {
      for (kw = w.first; kw < w.last; kw++) {
        const float *tap = x + ternc_pool_at(p, image, &h, &w, kh, kw);
        for (ch = 0; ch < p->channels; ch++) {
          if (tap[ch] > y[ch]) y[ch] = tap[ch];
        }
      }
    }
  }
}

TERNC_KERNEL(maxpool_f32, check_maxpool_f32, rows_maxpool_f32, run_maxpool_f32)

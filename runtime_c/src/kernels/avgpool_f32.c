/* Mean over windows of an NHWC image, float32. */
#include "pool.h"

static ternc_status check_avgpool_f32(const ternc_op *op) {
  const ternc_avgpool_f32_args *args = (const ternc_avgpool_f32_args *)op->args;
  const ternc_pool *p = TERNC_POOL_WORDS(avgpool_f32, op);
  if (!ternc_pool_mean_fits(p, args->pad_bottom, args->pad_right)) return TERNC_E_OPERAND;
  return ternc_pool_check(op, p, args->x, args->y, TERNC_F32);
}

static uint32_t rows_avgpool_f32(const ternc_op *op) {
  return ternc_pool_rows(TERNC_POOL_WORDS(avgpool_f32, op));
}

static void run_avgpool_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_avgpool_f32_args *args = (const ternc_avgpool_f32_args *)op->args;
  const ternc_pool *p = TERNC_POOL_WORDS(avgpool_f32, op);
  const float *x = (const float *)ternc_data(op, args->x);
  float *all = (float *)ternc_data(op, args->y);
  const int backwards = ternc_backwards(x, all);
  while (begin < end) {
    const uint32_t row = backwards ? --end : begin++;
    float *y = all + (size_t)row * p->channels;
    ternc_span h, w;
    const uint32_t image = ternc_pool_taps(p, row, &h, &w);
    const float divisor = (float)ternc_pool_divisor(p, &h, &w, args->pad_bottom, args->pad_right,
                                                    args->include_pad);
    uint32_t first, lanes, ch;
    for (first = 0; first < p->channels; first += lanes) {
      float sum[TERNC_POOL_LANES] = {0};
      int32_t kh, kw;
      lanes = p->channels - first < TERNC_POOL_LANES ? p->channels - first : TERNC_POOL_LANES;
      for (kh = h.first; kh < h.last; kh++) {
        float line[TERNC_POOL_LANES] = {0}; /* summed apart: large windows round less */
        for (kw = w.first; kw < w.last; kw++) {
          const float *tap = x + ternc_pool_at(p, image, &h, &w, kh, kw) + first;
          for (ch = 0; ch < lanes; ch++) line[ch] += tap[ch];
        }
        for (ch = 0; ch < lanes; ch++) sum[ch] += line[ch];
      }
      /* An empty window has the mean 0, as in onnxruntime. */
      for (ch = 0; ch < lanes; ch++) y[first + ch] = divisor > 0.0f ? sum[ch] / divisor : 0.0f;
    }
  }
}

TERNC_KERNEL(avgpool_f32, check_avgpool_f32, rows_avgpool_f32, run_avgpool_f32)

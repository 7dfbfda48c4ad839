/* Softmax and log-softmax over the middle axis, float32. */
#include "../ternc_math.h"
#include "axis.h"

static ternc_status check_softmax_f32(const ternc_op *op) {
  const ternc_softmax_f32_args *args = (const ternc_softmax_f32_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  if (ternc_expect(op, args->x, TERNC_F32, count)) return TERNC_E_OPERAND;
  return ternc_expect(op, args->y, TERNC_F32, count);
}

/* A row is one vector along the axis. */
static uint32_t rows_softmax_f32(const ternc_op *op) {
  const ternc_softmax_f32_args *args = (const ternc_softmax_f32_args *)op->args;
  return args->n == 0 ? 0 : args->outer * args->inner;
}

static void run_softmax_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_softmax_f32_args *args = (const ternc_softmax_f32_args *)op->args;
  const size_t step = args->inner;
  for (; begin < end; begin++) {
    const size_t at = ternc_row_at(begin, args->n, args->inner);
    const float *x = (const float *)ternc_data(op, args->x) + at;
    float *y = (float *)ternc_data(op, args->y) + at;
    float most = x[0], sum = 0.0f, part = 0.0f;
    uint32_t i;
    for (i = 1; i < args->n; i++) {
      if (x[i * step] > most) most = x[i * step];
    }
    for (i = 0; i < args->n; i++) {
      const float value = ternc_expf(x[i * step] - most);
      if (args->log == 0) y[i * step] = value;
      part += value;
      if ((i & 31) == 31) { /* summed in parts: long axes round less */
        sum += part;
        part = 0.0f;
      }
    }
    sum += part;
    if (args->log == 0) {
      const float scale = 1.0f / sum;
      for (i = 0; i < args->n; i++) y[i * step] *= scale;
    } else {
      const float shift = ternc_logf(sum);
      for (i = 0; i < args->n; i++) y[i * step] = x[i * step] - most - shift;
    }
  }
}

TERNC_KERNEL(softmax_f32, check_softmax_f32, rows_softmax_f32, run_softmax_f32)

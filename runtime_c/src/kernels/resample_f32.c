/* Weighted sums of neighbours along the middle axis: interpolation to another size. */
#include "axis.h"
#include "move.h"

static ternc_status check_resample_f32(const ternc_op *op) {
  const ternc_resample_f32_args *args = (const ternc_resample_f32_args *)op->args;
  if (args->taps == 0 || args->taps > args->axis || args->axis > INT32_MAX ||
      ternc_expect(op, args->x, TERNC_F32, ternc_mul3(args->outer, args->axis, args->inner)) ||
      ternc_expect(op, args->y, TERNC_F32, ternc_mul3(args->outer, args->n, args->inner)) ||
      ternc_expect(op, args->first, TERNC_I32, args->n) ||
      ternc_expect(op, args->w, TERNC_F32, ternc_mul_sat(args->n, args->taps)) ||
      ternc_overlap(op, args->x, args->y)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one index of the result's axis in one outer slice. */
static uint32_t rows_resample_f32(const ternc_op *op) {
  const ternc_resample_f32_args *args = (const ternc_resample_f32_args *)op->args;
  return args->inner == 0 ? 0 : args->outer * args->n;
}

static void run_resample_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_resample_f32_args *args = (const ternc_resample_f32_args *)op->args;
  const int32_t *first = (const int32_t *)ternc_data(op, args->first);
  const size_t inner = args->inner;
  for (; begin < end; begin++) {
    const uint32_t k = begin % args->n;
    const int32_t from = ternc_clamp(first[k], 0, (int32_t)(args->axis - args->taps));
    const float *w = (const float *)ternc_data(op, args->w) + (size_t)k * args->taps;
    const float *x = (const float *)ternc_data(op, args->x) +
                     ((size_t)(begin / args->n) * args->axis + (size_t)from) * inner;
    float *y = (float *)ternc_data(op, args->y) + begin * inner;
    size_t j;
    for (j = 0; j < inner; j++) {
      float sum = 0.0f;
      uint32_t t;
      for (t = 0; t < args->taps; t++) {
        /* What has no weight is not read: it may be infinite. */
        if (w[t] != 0.0f) sum += w[t] * x[t * inner + j];
      }
      y[j] = sum;
    }
  }
}

TERNC_KERNEL(resample_f32, check_resample_f32, rows_resample_f32, run_resample_f32)

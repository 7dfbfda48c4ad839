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
  const float *weights = (const float *)ternc_data(op, args->w);
  const size_t inner = args->inner, block = args->axis * inner;
  const uint32_t taps = args->taps;
  const int32_t last = (int32_t)(args->axis - taps);
  float *y = (float *)ternc_data(op, args->y) + begin * inner;
  const float *from;
  uint32_t k;
  if (begin >= end) return;
  k = begin % args->n;
  from = (const float *)ternc_data(op, args->x) + begin / args->n * block;
  for (; begin < end; begin++) {
    const float *w = weights + (size_t)k * taps;
    const float *x = from + (size_t)ternc_clamp(first[k], 0, last) * inner;
    const float *stop = y + inner;
    for (; y < stop; y++, x++) {
      const float *tap = x;
      float sum = 0.0f;
      uint32_t t;
      for (t = 0; t < taps; t++, tap += inner) {
        /* What has no weight is not read: it may be infinite. */
        if (w[t] != 0.0f) sum += w[t] * *tap;
      }
      *y = sum;
    }
    if (++k == args->n) {
      k = 0;
      from += block;
    }
  }
}

TERNC_KERNEL(resample_f32, check_resample_f32, rows_resample_f32, run_resample_f32)

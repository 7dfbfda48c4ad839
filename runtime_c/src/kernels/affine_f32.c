/* Per-channel multiply and add, float32. */
#include "axis.h"

static ternc_status check_affine_f32(const ternc_op *op) {
  const ternc_affine_f32_args *args = (const ternc_affine_f32_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->channels, args->inner);
  if (ternc_expect(op, args->x, TERNC_F32, count) || ternc_expect(op, args->y, TERNC_F32, count) ||
      ternc_expect(op, args->m, TERNC_F32, args->channels) ||
      ternc_expect(op, args->b, TERNC_F32, args->channels)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_affine_f32(const ternc_op *op) {
  const ternc_affine_f32_args *args = (const ternc_affine_f32_args *)op->args;
  return (uint32_t)ternc_mul3(args->outer, args->channels, args->inner);
}

static void run_affine_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_affine_f32_args *args = (const ternc_affine_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args->x);
  const float *m = (const float *)ternc_data(op, args->m);
  const float *b = (const float *)ternc_data(op, args->b);
  float *y = (float *)ternc_data(op, args->y);
  ternc_channel at;
  if (begin >= end) return;
  at = ternc_channel_at(begin, args->channels, args->inner);
  for (; begin < end; begin++, ternc_channel_next(&at, args->channels, args->inner)) {
    y[begin] = ternc_clampf(x[begin] * m[at.channel] + b[at.channel], args->lo, args->hi);
  }
}

TERNC_KERNEL(affine_f32, check_affine_f32, rows_affine_f32, run_affine_f32)

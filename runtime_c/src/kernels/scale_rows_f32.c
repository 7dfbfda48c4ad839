/* Each row by its own factor, then a bias for each channel: the end of a dynamic int8 layer. */
#include "../ternc_arith.h"

static ternc_status check_scale_rows_f32(const ternc_op *op) {
  const ternc_scale_rows_f32_args *args = (const ternc_scale_rows_f32_args *)op->args;
  const uint64_t count = (uint64_t)args->rows * args->n;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->n) || !ternc_is_dim(args->channels) ||
      args->n % args->channels != 0 || ternc_expect(op, args->x, TERNC_F32, count) ||
      ternc_expect(op, args->y, TERNC_F32, count) ||
      ternc_expect(op, args->r, TERNC_F32, args->rows) ||
      ternc_expect_optional(op, args->b, TERNC_F32, args->channels)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is a row. */
static uint32_t rows_scale_rows_f32(const ternc_op *op) {
  return ((const ternc_scale_rows_f32_args *)op->args)->rows;
}

static void run_scale_rows_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_scale_rows_f32_args args = *(const ternc_scale_rows_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  const float *r = (const float *)ternc_data(op, args.r);
  const float *b = (const float *)ternc_data(op, args.b);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) {
    const float factor = r[begin];
    size_t at = (size_t)begin * args.n;
    uint32_t j, channel = 0;
    for (j = 0; j < args.n; j++, at++) {
      float v = x[at] * factor;
      if (b != NULL) v += b[channel];
      if (++channel == args.channels) channel = 0;
      y[at] = ternc_clampf(v, args.lo, args.hi);
    }
  }
}

TERNC_KERNEL(scale_rows_f32, check_scale_rows_f32, rows_scale_rows_f32, run_scale_rows_f32)

/* Per-channel requantization: a per-channel multiply and add, int8. */
#include "axis.h"

static ternc_status check_affine_i8(const ternc_op *op) {
  const ternc_affine_i8_args *args = (const ternc_affine_i8_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->channels, args->inner);
  if (ternc_expect(op, args->x, TERNC_I8, count) || ternc_expect(op, args->y, TERNC_I8, count) ||
      ternc_expect(op, args->m, TERNC_I32, args->channels) ||
      ternc_expect(op, args->c, TERNC_I32, args->channels) ||
      !ternc_is_requant(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_affine_i8(const ternc_op *op) {
  const ternc_affine_i8_args *args = (const ternc_affine_i8_args *)op->args;
  return (uint32_t)ternc_mul3(args->outer, args->channels, args->inner);
}

static void run_affine_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_affine_i8_args *args = (const ternc_affine_i8_args *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, args->x);
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  const int32_t *c = (const int32_t *)ternc_data(op, args->c);
  int8_t *y = (int8_t *)ternc_data(op, args->y);
  ternc_channel at;
  if (begin >= end) return;
  at = ternc_channel_at(begin, args->channels, args->inner);
  for (; begin < end; begin++, ternc_channel_next(&at, args->channels, args->inner)) {
    y[begin] = (int8_t)ternc_requant(x[begin], m[at.channel], c[at.channel], args->shift, args->lo,
                                     args->hi);
  }
}

TERNC_KERNEL(affine_i8, check_affine_i8, rows_affine_i8, run_affine_i8)

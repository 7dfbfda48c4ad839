/* Per-channel requantization, int16: a multiply and add, or with other multipliers for negative
 * numbers a leaky rectifier. */
#include "axis.h"
#include "wide.h"

static ternc_status check_affine_i16(const ternc_op *op) {
  const ternc_affine_i16_args *args = (const ternc_affine_i16_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->channels, args->inner);
  if (ternc_expect(op, args->x, TERNC_I16, count) ||
      !ternc_wide_fits(op, args->y, count, args->lo, args->hi) ||
      ternc_expect(op, args->m, TERNC_I32, args->channels) ||
      ternc_expect_optional(op, args->n, TERNC_I32, args->channels) ||
      ternc_expect(op, args->c, TERNC_I32, args->channels) || args->shift > TERNC_MAX_SHIFT) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_affine_i16(const ternc_op *op) {
  const ternc_affine_i16_args *args = (const ternc_affine_i16_args *)op->args;
  return (uint32_t)ternc_mul3(args->outer, args->channels, args->inner);
}

static void run_affine_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_affine_i16_args *args = (const ternc_affine_i16_args *)op->args;
  const int16_t *x = (const int16_t *)ternc_data(op, args->x);
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  const int32_t *n = (const int32_t *)ternc_data(op, args->n);
  const int32_t *c = (const int32_t *)ternc_data(op, args->c);
  void *y = ternc_data(op, args->y);
  const int narrow = ternc_is_narrow(op, args->y);
  ternc_channel at;
  if (begin >= end) return;
  if (n == NULL) n = m;
  at = ternc_channel_at(begin, args->channels, args->inner);
  for (; begin < end; begin++, ternc_channel_next(&at, args->channels, args->inner)) {
    const int32_t v = x[begin];
    ternc_put(y, begin, narrow,
              ternc_requant(v, v < 0 ? n[at.channel] : m[at.channel], c[at.channel], args->shift,
                            args->lo, args->hi));
  }
}

TERNC_KERNEL(affine_i16, check_affine_i16, rows_affine_i16, run_affine_i16)

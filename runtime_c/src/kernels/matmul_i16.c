/* Matrix product of two int16 tensors, any strides, with fixed-point requantization; sums in 64
 * bits. */
#include "matmul.h"
#include "wide.h"

static ternc_status check_matmul_i16(const ternc_op *op) {
  const ternc_matmul_i16_args *args = (const ternc_matmul_i16_args *)op->args;
  if (args->shift > TERNC_MAX_SHIFT ||
      ternc_matmul_check_inputs(op, TERNC_I16) != TERNC_OK ||
      !ternc_wide_fits(op, args->y, ternc_matmul_outputs(op), args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static void run_matmul_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_matmul_i16_args args = *(const ternc_matmul_i16_args *)op->args;
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  const int16_t *a = (const int16_t *)ternc_data(op, args.a);
  const int16_t *b = (const int16_t *)ternc_data(op, args.b);
  void *y = ternc_data(op, args.y);
  const int narrow = ternc_is_narrow(op, args.y);
  size_t at, last;
  ternc_matmul_range(m, begin, end, &at, &last);
  for (; at < last; at++) {
    int64_t sum = 0; /* at most 2^24 terms of 2^30 */
    uint32_t left;
    size_t p, q;
    ternc_matmul_at(m, at, &p, &q);
    for (left = args.inner; left > 0; left--, p += args.a_inner, q += args.b_inner) {
      sum += a[p] * b[q];
    }
    ternc_put(y, at, narrow,
              ternc_requant_wide(sum, args.m, args.c, args.shift, args.lo, args.hi));
  }
}

TERNC_KERNEL(matmul_i16, check_matmul_i16, ternc_matmul_rows, run_matmul_i16)

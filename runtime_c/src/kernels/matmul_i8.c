/* Matrix product of two int8 tensors, any strides, with fixed-point requantization. */
#include "matmul.h"

static ternc_status check_matmul_i8(const ternc_op *op) {
  const ternc_matmul_i8_args *args = (const ternc_matmul_i8_args *)op->args;
  if (!ternc_is_i8(args->a_zero) || !ternc_is_i8(args->b_zero) ||
      !ternc_is_requant(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return ternc_matmul_check(op, TERNC_I8);
}

static void run_matmul_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_matmul_i8_args args = *(const ternc_matmul_i8_args *)op->args;
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  const int8_t *a = (const int8_t *)ternc_data(op, args.a);
  const int8_t *b = (const int8_t *)ternc_data(op, args.b);
  int8_t *y = (int8_t *)ternc_data(op, args.y);
  size_t at, last;
  ternc_matmul_range(m, begin, end, &at, &last);
  for (; at < last; at++) {
    uint32_t sum = 0, left; /* modulo 2^32: the compiler proves that it fits */
    size_t p, q;
    ternc_matmul_at(m, at, &p, &q);
    for (left = args.inner; left > 0; left--, p += args.a_inner, q += args.b_inner) {
      sum += (uint32_t)((a[p] - args.a_zero) * (b[q] - args.b_zero));
    }
    y[at] = (int8_t)ternc_requant((int32_t)sum, args.m, args.c, args.shift, args.lo, args.hi);
  }
}

TERNC_KERNEL(matmul_i8, check_matmul_i8, ternc_matmul_rows, run_matmul_i8)

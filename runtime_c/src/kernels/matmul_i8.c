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

/* Four sums at a time share what they read of a. */
#define COLUMNS 4u

/* The sums of a row of a and `count` columns of b; modulo 2^32, the compiler proves that they fit.
 * b's zero point is taken off afterwards, from the sum of a's row. */
static void sums_of(const ternc_matmul_i8_args *args, const int8_t *a, const int8_t *b,
                    uint32_t count, uint32_t *sums) {
  const size_t a_step = args->a_inner, b_step = args->b_inner, next = args->b_col;
  const int8_t *b1 = count > 1 ? b + next : b, *b2 = count > 2 ? b1 + next : b;
  const int8_t *b3 = count > 3 ? b2 + next : b;
  const int32_t a_zero = args->a_zero;
  uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, row = 0, left;
  for (left = args->inner; left > 0; left--) {
    const int32_t v = *a - a_zero;
    row += (uint32_t)v;
    s0 += (uint32_t)(v * *b);
    s1 += (uint32_t)(v * *b1);
    s2 += (uint32_t)(v * *b2);
    s3 += (uint32_t)(v * *b3);
    a += a_step;
    b += b_step;
    b1 += b_step;
    b2 += b_step;
    b3 += b_step;
  }
  row *= (uint32_t)args->b_zero;
  sums[0] = s0 - row;
  sums[1] = s1 - row;
  sums[2] = s2 - row;
  sums[3] = s3 - row;
}

static void run_matmul_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_matmul_i8_args args = *(const ternc_matmul_i8_args *)op->args;
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  const int8_t *a = (const int8_t *)ternc_data(op, args.a);
  const int8_t *b = (const int8_t *)ternc_data(op, args.b);
  int8_t *y = (int8_t *)ternc_data(op, args.y);
  size_t at, last;
  ternc_matmul_range(m, begin, end, &at, &last);
  while (at < last) {
    const size_t in_row = args.cols - at % args.cols, left = in_row < last - at ? in_row : last - at;
    const uint32_t count = left < COLUMNS ? (uint32_t)left : COLUMNS;
    uint32_t sums[COLUMNS], i;
    size_t p, q;
    ternc_matmul_at(m, at, &p, &q);
    sums_of(&args, a + p, b + q, count, sums);
    for (i = 0; i < count; i++, at++) {
      y[at] = (int8_t)ternc_requant((int32_t)sums[i], args.m, args.c, args.shift, args.lo, args.hi);
    }
  }
}

#undef COLUMNS
TERNC_KERNEL(matmul_i8, check_matmul_i8, ternc_matmul_rows, run_matmul_i8)

/* Product of two quantized tensors with broadcasting. */
#include "nd.h"

static ternc_status check_mul_i8(const ternc_op *op) {
  const ternc_mul_i8_args *args = (const ternc_mul_i8_args *)op->args;
  if (!ternc_is_i8(args->a_zero) || !ternc_is_i8(args->b_zero)) return TERNC_E_OPERAND;
  if (!ternc_is_requant(args->shift, args->lo, args->hi)) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(mul_i8, op), TERNC_I8);
}

static uint32_t rows_mul_i8(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(mul_i8, op));
}

static void run_mul_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_mul_i8_args *args = (const ternc_mul_i8_args *)op->args;
  const int8_t *a = (const int8_t *)ternc_data(op, args->a);
  const int8_t *b = (const int8_t *)ternc_data(op, args->b);
  int8_t *y = (int8_t *)ternc_data(op, args->y) + begin;
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(mul_i8, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run, y += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    for (k = 0; k < run; k++, i += step_a, j += step_b) {
      const int32_t product = (a[i] - args->a_zero) * (b[j] - args->b_zero);
      y[k] = (int8_t)ternc_requant(product, args->m, args->c, args->shift, args->lo, args->hi);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(mul_i8, check_mul_i8, rows_mul_i8, run_mul_i8)

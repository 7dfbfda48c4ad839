/* Quotient of two quantized tensors with broadcasting, rounded half up. */
#include "nd.h"

static ternc_status check_div_i8(const ternc_op *op) {
  const ternc_div_i8_args *args = (const ternc_div_i8_args *)op->args;
  if (!ternc_is_i8(args->a_zero) || !ternc_is_i8(args->b_zero)) return TERNC_E_OPERAND;
  if (args->shift > 46 || !ternc_is_i8_range(args->lo, args->hi)) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(div_i8, op), TERNC_I8);
}

static uint32_t rows_div_i8(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(div_i8, op));
}

/* floor(a*m/(b << shift) + 1/2) + zero, clamped; |a|, |b| <= 255, so that all fits 64 bits. */
static int32_t quotient_div_i8(const ternc_div_i8_args *args, int32_t a, int32_t b) {
  int64_t numerator = (int64_t)a * args->m, denominator = (int64_t)b * ((int64_t)1 << args->shift);
  int64_t floor;
  if (denominator == 0) {
    /* The divisor's real value is +0: the sign of the result is the numerator's. */
    if (numerator == 0) return ternc_clamp(args->zero, args->lo, args->hi);
    return numerator > 0 ? args->hi : args->lo;
  }
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  numerator = 2 * numerator + denominator;
  denominator *= 2;
  floor = numerator / denominator;
  if (numerator % denominator < 0) floor--;
  floor += args->zero;
  return ternc_clamp64(floor, args->lo, args->hi);
}

static void run_div_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_div_i8_args *args = (const ternc_div_i8_args *)op->args;
  const int8_t *a = (const int8_t *)ternc_data(op, args->a);
  const int8_t *b = (const int8_t *)ternc_data(op, args->b);
  int8_t *y = (int8_t *)ternc_data(op, args->y) + begin;
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(div_i8, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run, y += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    for (k = 0; k < run; k++, i += step_a, j += step_b) {
      y[k] = (int8_t)quotient_div_i8(args, a[i] - args->a_zero, b[j] - args->b_zero);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(div_i8, check_div_i8, rows_div_i8, run_div_i8)

/* Sum of two quantized tensors with broadcasting, in 32-bit arithmetic. */
#include "nd.h"

static ternc_status check_add_i8(const ternc_op *op) {
  const ternc_add_i8_args *args = (const ternc_add_i8_args *)op->args;
  if (args->shift > 31 || !ternc_is_i8_range(args->lo, args->hi)) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(add_i8, op), TERNC_I8);
}

static uint32_t rows_add_i8(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(add_i8, op));
}

static void run_add_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_add_i8_args *args = (const ternc_add_i8_args *)op->args;
  const int8_t *a = (const int8_t *)ternc_data(op, args->a);
  const int8_t *b = (const int8_t *)ternc_data(op, args->b);
  int8_t *y = (int8_t *)ternc_data(op, args->y) + begin;
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(add_i8, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run, y += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    for (k = 0; k < run; k++, i += step_a, j += step_b) {
      /* The compiler proved that nothing overflows; unsigned, a hostile blob only wraps. */
      const uint32_t sum = (uint32_t)a[i] * (uint32_t)args->ma +
                           (uint32_t)b[j] * (uint32_t)args->mb + (uint32_t)args->c;
      y[k] = (int8_t)ternc_clamp((int32_t)sum >> args->shift, args->lo, args->hi);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(add_i8, check_add_i8, rows_add_i8, run_add_i8)

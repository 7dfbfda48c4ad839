/* Index of the maximum or minimum over the middle axis, int8. */
#include "axis.h"

static ternc_status check_argmax_i8(const ternc_op *op) {
  const ternc_argmax_i8_args *args = (const ternc_argmax_i8_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  if (args->n == 0 || ternc_expect(op, args->x, TERNC_I8, count)) return TERNC_E_OPERAND;
  return ternc_expect(op, args->y, TERNC_I32, ternc_mul_sat(args->outer, args->inner));
}

/* A row is one vector along the axis. */
static uint32_t rows_argmax_i8(const ternc_op *op) {
  const ternc_argmax_i8_args *args = (const ternc_argmax_i8_args *)op->args;
  return args->outer * args->inner;
}

static void run_argmax_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_argmax_i8_args *args = (const ternc_argmax_i8_args *)op->args;
  const size_t step = args->inner;
  int32_t *y = (int32_t *)ternc_data(op, args->y);
  for (; begin < end; begin++) {
    const size_t at = ternc_row_at(begin, args->n, args->inner);
    const int8_t *x = (const int8_t *)ternc_data(op, args->x) + at;
    int8_t best = x[0];
    uint32_t index = 0, i;
    for (i = 1; i < args->n; i++) {
      const int8_t value = x[i * step];
      const int wins = args->minimum != 0 ? value < best : value > best;
      if (wins || (args->select_last != 0 && value == best)) {
        best = value;
        index = i;
      }
    }
    y[begin] = (int32_t)index;
  }
}

TERNC_KERNEL(argmax_i8, check_argmax_i8, rows_argmax_i8, run_argmax_i8)

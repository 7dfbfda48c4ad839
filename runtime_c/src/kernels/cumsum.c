/* Running sums along the middle axis, of float32 or int32 (which wraps). A row is one vector. */
#include "axis.h"

static ternc_status check_cumsum(const ternc_op *op) {
  const ternc_cumsum_args *args = (const ternc_cumsum_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  uint32_t dtype;
  if (args->x == TERNC_NONE || args->exclusive > 1 || args->reverse > 1) return TERNC_E_OPERAND;
  dtype = ternc_record(op, args->x)->dtype;
  if (dtype != TERNC_F32 && dtype != TERNC_I32) return TERNC_E_OPERAND;
  if (ternc_expect(op, args->x, dtype, count)) return TERNC_E_OPERAND;
  return ternc_expect(op, args->y, dtype, count);
}

static uint32_t rows_cumsum(const ternc_op *op) {
  const ternc_cumsum_args *args = (const ternc_cumsum_args *)op->args;
  return args->n == 0 ? 0 : args->outer * args->inner;
}

static void run_cumsum(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_cumsum_args *args = (const ternc_cumsum_args *)op->args;
  const void *x = ternc_data(op, args->x);
  void *y = ternc_data(op, args->y);
  const int is_float = ternc_record(op, args->x)->dtype == TERNC_F32;
  for (; begin < end; begin++) {
    const size_t first = ternc_row_at(begin, args->n, args->inner);
    float real = 0.0f;
    uint32_t whole = 0, i; /* unsigned: sums that wrap are defined */
    for (i = 0; i < args->n; i++) {
      const size_t at = first + (size_t)(args->reverse == 1 ? args->n - 1 - i : i) * args->inner;
      if (is_float) {
        const float sum = real + ((const float *)x)[at];
        ((float *)y)[at] = args->exclusive == 1 ? real : sum;
        real = sum;
      } else {
        const uint32_t sum = whole + (uint32_t)((const int32_t *)x)[at];
        ((int32_t *)y)[at] = (int32_t)(args->exclusive == 1 ? whole : sum);
        whole = sum;
      }
    }
  }
}

TERNC_KERNEL(cumsum, check_cumsum, rows_cumsum, run_cumsum)

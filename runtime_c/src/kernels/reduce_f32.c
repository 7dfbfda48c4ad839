/* Sums, products and minima over the middle axis, float32. A row is one vector along the axis. */
#include "axis.h"

enum {
  REDUCE_SUM, REDUCE_PRODUCT, REDUCE_SUM_OF_SIZES, REDUCE_SUM_OF_SQUARES, REDUCE_MINIMUM,
  REDUCE_OPS
};

static ternc_status check_reduce_f32(const ternc_op *op) {
  const ternc_reduce_f32_args *args = (const ternc_reduce_f32_args *)op->args;
  if (args->op >= REDUCE_OPS || args->n == 0) return TERNC_E_OPERAND;
  if (ternc_expect(op, args->x, TERNC_F32, ternc_mul3(args->outer, args->n, args->inner))) {
    return TERNC_E_OPERAND;
  }
  return ternc_expect(op, args->y, TERNC_F32, ternc_mul3(args->outer, 1, args->inner));
}

static uint32_t rows_reduce_f32(const ternc_op *op) {
  const ternc_reduce_f32_args *args = (const ternc_reduce_f32_args *)op->args;
  return args->outer * args->inner;
}

/* In parts of 32: long sums round less. */
static float sum_of(const float *x, uint32_t n, size_t step, uint32_t what) {
  float sum = 0.0f, part = 0.0f;
  uint32_t i;
  for (i = 0; i < n; i++) {
    const float v = x[i * step];
    part += what == REDUCE_SUM ? v : what == REDUCE_SUM_OF_SQUARES ? v * v : v < 0.0f ? -v : v;
    if ((i & 31) == 31) {
      sum += part;
      part = 0.0f;
    }
  }
  return sum + part;
}

static float product_of(const float *x, uint32_t n, size_t step) {
  float product = x[0];
  uint32_t i;
  for (i = 1; i < n; i++) product *= x[i * step];
  return product;
}

static float minimum_of(const float *x, uint32_t n, size_t step) {
  float least = x[0];
  uint32_t i;
  for (i = 1; i < n; i++) {
    const float v = x[i * step];
    if (v < least || v != v) least = v; /* NaN stays */
  }
  return least;
}

static void run_reduce_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_reduce_f32_args *args = (const ternc_reduce_f32_args *)op->args;
  const size_t step = args->inner;
  float *y = (float *)ternc_data(op, args->y);
  for (; begin < end; begin++) {
    const float *x = (const float *)ternc_data(op, args->x) +
                     ternc_row_at(begin, args->n, args->inner);
    y[begin] = args->op == REDUCE_PRODUCT   ? product_of(x, args->n, step)
               : args->op == REDUCE_MINIMUM ? minimum_of(x, args->n, step)
                                            : sum_of(x, args->n, step, args->op);
  }
}

TERNC_KERNEL(reduce_f32, check_reduce_f32, rows_reduce_f32, run_reduce_f32)

/* Comparisons and logic of two operands with broadcasting: one byte, 1 or 0, for each element. */
#include "nd.h"

static ternc_status check_compare(const ternc_op *op) {
  const ternc_compare_args *args = (const ternc_compare_args *)op->args;
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(compare, op), ternc_record(op, args->a)->dtype,
                           TERNC_BOOL);
}

static uint32_t rows_compare(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(compare, op));
}

/* One run of elements of a type. Nothing is set for a NaN. */
#define COMPARE_RUN(type)                                                    \
  for (k = 0; k < run; k++, i += step_a, j += step_b) {                      \
    const type p = ((const type *)a)[i], q = ((const type *)b)[j];           \
    y[k] = ((p < q ? 1u : p == q ? 2u : p > q ? 4u : 0u) & args->table) != 0; \
  }                                                                          \
  break

static void run_compare(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_compare_args *args = (const ternc_compare_args *)op->args;
  const uint32_t dtype = ternc_record(op, args->a)->dtype;
  const void *a = ternc_data(op, args->a), *b = ternc_data(op, args->b);
  uint8_t *y = (uint8_t *)ternc_data(op, args->y) + begin;
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(compare, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run, y += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    switch (dtype) {
      case TERNC_F32: COMPARE_RUN(float);
      case TERNC_I8: COMPARE_RUN(int8_t);
      case TERNC_U8: COMPARE_RUN(uint8_t);
      case TERNC_I16: COMPARE_RUN(int16_t);
      case TERNC_I32: COMPARE_RUN(int32_t);
      default: /* bool: any byte but 0 is true */
        for (k = 0; k < run; k++, i += step_a, j += step_b) {
          const uint32_t p = ((const uint8_t *)a)[i] != 0, q = ((const uint8_t *)b)[j] != 0;
          y[k] = (uint8_t)(args->table >> (2 * p + q) & 1u);
        }
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(compare, check_compare, rows_compare, run_compare)

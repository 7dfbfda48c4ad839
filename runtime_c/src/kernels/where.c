/* One of two operands for each element, as a condition says. */
#include "move.h"
#include "nd.h"

static ternc_status check_where(const ternc_op *op) {
  const ternc_where_args *args = (const ternc_where_args *)op->args;
  const uint32_t *words = TERNC_ND_WORDS(where, op);
  const uint64_t count = ternc_nd_count(words);
  const uint32_t operands[2] = {args->a, args->b};
  uint32_t i;
  if (ternc_expect(op, args->condition, TERNC_BOOL, count) ||
      ternc_expect_sized(op, args->y, args->size, count)) {
    return TERNC_E_OPERAND;
  }
  for (i = 0; i < 2; i++) {
    if (ternc_expect_sized(op, operands[i], args->size, 0)) return TERNC_E_OPERAND;
    if (count > 0 && !ternc_nd_fits(words, ternc_nd_strides(words, i), 0,
                                    ternc_record(op, operands[i])->size / args->size)) {
      return TERNC_E_OPERAND;
    }
  }
  return TERNC_OK;
}

static uint32_t rows_where(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(where, op));
}

#define WHERE_RUN(type)                                                              \
  for (k = 0; k < run; k++, i += step_a, j += step_b) {                              \
    ((type *)y)[begin + k] =                                                         \
        condition[begin + k] != 0 ? ((const type *)a)[i] : ((const type *)b)[j];     \
  }

static void run_where(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_where_args *args = (const ternc_where_args *)op->args;
  const uint8_t *condition = (const uint8_t *)ternc_data(op, args->condition);
  const void *a = ternc_data(op, args->a), *b = ternc_data(op, args->b);
  void *y = ternc_data(op, args->y);
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(where, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    if (args->size == 1) {
      WHERE_RUN(uint8_t)
    } else if (args->size == 2) {
      WHERE_RUN(ternc_move2)
    } else {
      WHERE_RUN(ternc_move4)
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(where, check_where, rows_where, run_where)

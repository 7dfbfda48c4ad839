/* Template: index of the maximum or minimum over the middle axis of integers. No include guard: it
 * is included once per kernel, with ARGMAX_NAME (the instruction), ARGMAX_TYPE and ARGMAX_DTYPE. */
#include "axis.h"

#define ARGMAX_PASTE2(a, b) a##_##b
#define ARGMAX_PASTE(a, b) ARGMAX_PASTE2(a, b)
#define ARGMAX_FN(f) ARGMAX_PASTE(f, ARGMAX_NAME)
#define ARGMAX_ARGS ARGMAX_PASTE(ARGMAX_PASTE(ternc, ARGMAX_NAME), args)

static ternc_status ARGMAX_FN(check)(const ternc_op *op) {
  const ARGMAX_ARGS *args = (const ARGMAX_ARGS *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  if (args->n == 0 || ternc_expect(op, args->x, ARGMAX_DTYPE, count)) return TERNC_E_OPERAND;
  return ternc_expect(op, args->y, TERNC_I32, ternc_mul_sat(args->outer, args->inner));
}

/* A row is one vector along the axis. */
static uint32_t ARGMAX_FN(rows)(const ternc_op *op) {
  const ARGMAX_ARGS *args = (const ARGMAX_ARGS *)op->args;
  return args->outer * args->inner;
}

static void ARGMAX_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ARGMAX_ARGS *args = (const ARGMAX_ARGS *)op->args;
  const size_t step = args->inner;
  int32_t *y = (int32_t *)ternc_data(op, args->y);
  for (; begin < end; begin++) {
    const size_t at = ternc_row_at(begin, args->n, args->inner);
    const ARGMAX_TYPE *x = (const ARGMAX_TYPE *)ternc_data(op, args->x) + at;
    ARGMAX_TYPE best = x[0];
    uint32_t index = 0, i;
    for (i = 1; i < args->n; i++) {
      const ARGMAX_TYPE value = x[i * step];
      const int wins = args->minimum != 0 ? value < best : value > best;
      if (wins || (args->select_last != 0 && value == best)) {
        best = value;
        index = i;
      }
    }
    y[begin] = (int32_t)index;
  }
}

#undef ARGMAX_NAME
#undef ARGMAX_TYPE
#undef ARGMAX_DTYPE
#undef ARGMAX_PASTE2
#undef ARGMAX_PASTE
#undef ARGMAX_FN
#undef ARGMAX_ARGS

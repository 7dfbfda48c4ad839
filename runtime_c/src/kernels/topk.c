/* The k largest or smallest values along the middle axis, in order, and where they were. */
#include "axis.h"
#include "move.h"

static ternc_status check_topk(const ternc_op *op) {
  const ternc_topk_args *args = (const ternc_topk_args *)op->args;
  const uint32_t dtype = ternc_record(op, args->x)->dtype;
  const uint64_t written = ternc_mul3(args->outer, args->k, args->inner);
  if (dtype != TERNC_F32 && dtype != TERNC_I8 && dtype != TERNC_I16 && dtype != TERNC_I32) {
    return TERNC_E_OPERAND;
  }
  if (args->k == 0 || args->k > args->n || args->n > INT32_MAX ||
      ternc_expect(op, args->x, dtype, ternc_mul3(args->outer, args->n, args->inner)) ||
      ternc_expect(op, args->y, dtype, written) ||
      ternc_expect(op, args->indices, TERNC_I32, written) ||
      ternc_overlap(op, args->x, args->y) || ternc_overlap(op, args->x, args->indices) ||
      ternc_overlap(op, args->y, args->indices)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one vector along the axis. */
static uint32_t rows_topk(const ternc_op *op) {
  const ternc_topk_args *args = (const ternc_topk_args *)op->args;
  return args->outer * args->inner;
}

/* By insertion: what is equal stays behind what came first. */
#define TOPK_RUN(type)                                                                      \
  for (; begin < end; begin++) {                                                            \
    const size_t at = ternc_row_at(begin, args->k, args->inner);                            \
    const type *x = (const type *)ternc_data(op, args->x) +                                 \
                    ternc_row_at(begin, args->n, args->inner);                              \
    type *y = (type *)ternc_data(op, args->y) + at;                                         \
    int32_t *indices = (int32_t *)ternc_data(op, args->indices) + at;                       \
    uint32_t held = 0, i;                                                                   \
    for (i = 0; i < args->n; i++) {                                                         \
      const type value = x[i * step];                                                       \
      uint32_t place = held;                                                                \
      for (; place > 0; place--) {                                                          \
        const type other = y[(place - 1) * step];                                           \
        if (!(args->smallest != 0 ? value < other : value > other)) break;                  \
        if (place == args->k) continue;                                                     \
        y[place * step] = other;                                                            \
        indices[place * step] = indices[(place - 1) * step];                                \
      }                                                                                     \
      if (held < args->k) held++;                                                           \
      if (place == args->k) continue;                                                       \
      y[place * step] = value;                                                              \
      indices[place * step] = (int32_t)i;                                                   \
    }                                                                                       \
  }                                                                                         \
  break

static void run_topk(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_topk_args *args = (const ternc_topk_args *)op->args;
  const size_t step = args->inner;
  switch (ternc_record(op, args->x)->dtype) {
    case TERNC_F32: TOPK_RUN(float);
    case TERNC_I8: TOPK_RUN(int8_t);
    case TERNC_I16: TOPK_RUN(int16_t);
    default: TOPK_RUN(int32_t);
  }
}

TERNC_KERNEL(topk, check_topk, rows_topk, run_topk)

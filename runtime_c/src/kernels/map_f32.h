/* Kernels that apply one function to each element (internal). A row is one element. */
#ifndef TERNC_MAP_F32_H
#define TERNC_MAP_F32_H

#include "../ternc_arith.h"
#include "../ternc_math.h"

/* Defines kernel `name` with function(value) for operands x, y, count. */
#define TERNC_MAP_F32(name, function)                                                  \
  static ternc_status check_##name(const ternc_op *op) {                               \
    const ternc_##name##_args *args = (const ternc_##name##_args *)op->args;           \
    return ternc_map_f32_check(op, args->x, args->y, args->count);                     \
  }                                                                                    \
  static uint32_t rows_##name(const ternc_op *op) {                                    \
    return ((const ternc_##name##_args *)op->args)->count;                             \
  }                                                                                    \
  static void run_##name(const ternc_op *op, uint32_t begin, uint32_t end) {           \
    const ternc_##name##_args *args = (const ternc_##name##_args *)op->args;           \
    const float *x = (const float *)ternc_data(op, args->x);                           \
    float *y = (float *)ternc_data(op, args->y);                                       \
    for (; begin < end; begin++) y[begin] = function(x[begin]);                        \
  }                                                                                    \
  TERNC_KERNEL(name, check_##name, rows_##name, run_##name)

static inline ternc_status ternc_map_f32_check(const ternc_op *op, uint32_t x, uint32_t y,
                                               uint32_t count) {
  return ternc_expect(op, x, TERNC_F32, count) || ternc_expect(op, y, TERNC_F32, count)
             ? TERNC_E_OPERAND
             : TERNC_OK;
}

#endif

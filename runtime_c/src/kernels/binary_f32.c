/* Two float32 operands with broadcasting. */
#include "../ternc_math.h"
#include "nd.h"

enum {
  BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV, BINARY_MIN, BINARY_MAX, BINARY_POW, BINARY_PRELU
};

static ternc_status check_binary_f32(const ternc_op *op) {
  const ternc_binary_f32_args *args = (const ternc_binary_f32_args *)op->args;
  if (args->op > BINARY_PRELU) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(binary_f32, op), TERNC_F32, TERNC_F32);
}

static uint32_t rows_binary_f32(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(binary_f32, op));
}

/* One run, the operator chosen outside the loop. */
#define BINARY_RUN(expression)                             \
  for (k = 0; k < run; k++, i += step_a, j += step_b) {    \
    const float p = a[i], q = b[j];                        \
    y[k] = ternc_clampf((expression), args->lo, args->hi); \
  }                                                        \
  break

static void run_binary_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_binary_f32_args *args = (const ternc_binary_f32_args *)op->args;
  const float *a = (const float *)ternc_data(op, args->a);
  const float *b = (const float *)ternc_data(op, args->b);
  float *y = (float *)ternc_data(op, args->y) + begin;
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(binary_f32, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run, y += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    switch (args->op) {
      case BINARY_ADD: BINARY_RUN(p + q);
      case BINARY_SUB: BINARY_RUN(p - q);
      case BINARY_MUL: BINARY_RUN(p * q);
      case BINARY_DIV: BINARY_RUN(p / q);
      /* A NaN on either side wins, as in ONNX. */
      case BINARY_MIN: BINARY_RUN(p < q || p != p ? p : q);
      case BINARY_MAX: BINARY_RUN(p > q || p != p ? p : q);
      case BINARY_POW: BINARY_RUN(ternc_powf(p, q));
      default: BINARY_RUN(p < 0.0f ? p * q : p);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(binary_f32, check_binary_f32, rows_binary_f32, run_binary_f32)

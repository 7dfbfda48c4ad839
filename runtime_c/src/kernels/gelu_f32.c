/* Gaussian error linear unit, exact or in its tanh approximation. */
#include "map_f32.h"

static ternc_status check_gelu_f32(const ternc_op *op) {
  const ternc_gelu_f32_args *args = (const ternc_gelu_f32_args *)op->args;
  if (args->tanh > 1) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_gelu_f32(const ternc_op *op) {
  return ((const ternc_gelu_f32_args *)op->args)->count;
}

static void run_gelu_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_gelu_f32_args *args = (const ternc_gelu_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args->x);
  float *y = (float *)ternc_data(op, args->y);
  const int approximate = args->tanh == 1;
  for (; begin < end; begin++) {
    const float v = x[begin];
    const float t = approximate
                        ? ternc_tanhf(0.7978845608f * (v + 0.044715f * (v * v * v))) /* sqrt(2/pi) */
                        : ternc_erff(v * 0.7071067812f);                             /* 1/sqrt(2) */
    y[begin] = 0.5f * v * (1.0f + t);
  }
}

TERNC_KERNEL(gelu_f32, check_gelu_f32, rows_gelu_f32, run_gelu_f32)

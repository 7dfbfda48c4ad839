/* Cheap elementwise functions of float32, selected by `op`. NaN passes through all of them. */
#include "map_f32.h"

enum {
  UNARY_CLIP, UNARY_LEAKY_RELU, UNARY_HARD_SIGMOID, UNARY_HARD_SWISH, UNARY_ABS, UNARY_NEG,
  UNARY_FLOOR, UNARY_CEIL, UNARY_ROUND, UNARY_SIGN, UNARY_RECIPROCAL, UNARY_OPS
};

static ternc_status check_unary_f32(const ternc_op *op) {
  const ternc_unary_f32_args *args = (const ternc_unary_f32_args *)op->args;
  if (args->op >= UNARY_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_unary_f32(const ternc_op *op) {
  return ((const ternc_unary_f32_args *)op->args)->count;
}

static float apply_unary_f32(uint32_t op, float v, float alpha, float beta) {
  switch (op) {
    case UNARY_CLIP: v = v < alpha ? alpha : v; return v > beta ? beta : v; /* beta wins */
    case UNARY_LEAKY_RELU: return v < 0.0f ? alpha * v : v;
    case UNARY_HARD_SIGMOID: return ternc_clampf(alpha * v + beta, 0.0f, 1.0f);
    case UNARY_HARD_SWISH: return v * ternc_clampf(v * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
    case UNARY_ABS: return ternc_bits_float(ternc_float_bits(v) & 0x7fffffffu);
    case UNARY_NEG: return -v;
    case UNARY_FLOOR: return ternc_floorf(v);
    case UNARY_CEIL: return ternc_ceilf(v);
    case UNARY_ROUND: return ternc_roundf(v);
    case UNARY_SIGN: return v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v;
    default: return 1.0f / v;
  }
}

static void run_unary_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_unary_f32_args args = *(const ternc_unary_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_unary_f32(args.op, x[begin], args.alpha, args.beta);
}

TERNC_KERNEL(unary_f32, check_unary_f32, rows_unary_f32, run_unary_f32)

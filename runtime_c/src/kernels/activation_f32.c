/* Activations with an exponential, selected by `op`. Relative errors, against double precision:
 * elu, celu, mish and swish 4e-7 (with alpha 1 or 2; else the rounding of alpha*x counts as well),
 * softplus 3e-7. NaN passes through all of them. */
#include "map_f32.h"

enum {
  ACTIVATION_ELU, ACTIVATION_CELU, ACTIVATION_SOFTPLUS, ACTIVATION_MISH, ACTIVATION_SWISH,
  ACTIVATION_OPS
};

/* tanh(log(1 + e)) with e = exp(v) is e(e + 2)/(e(e + 2) + 2): no logarithm. */
static float mish(float v) {
  float e, t;
  if (v > 0.0f) {
    e = ternc_expf(-v);
    t = 1.0f + 2.0f * e;
    return v * (t / (t + 2.0f * e * e));
  }
  e = ternc_expf(v);
  t = e * (e + 2.0f);
  return v * (t / (t + 2.0f));
}

static float apply_activation_f32(uint32_t op, float v, float alpha, float beta) {
  switch (op) {
    case ACTIVATION_ELU: return beta * (v > 0.0f ? v : alpha * ternc_expm1f(v));
    case ACTIVATION_CELU: return v > 0.0f ? v : alpha * ternc_expm1f(v / alpha);
    case ACTIVATION_SOFTPLUS:
      return v > 0.0f ? v + ternc_log1pf(ternc_expf(-v)) : ternc_log1pf(ternc_expf(v));
    case ACTIVATION_MISH: return mish(v);
    default: return v * ternc_sigmoidf(alpha * v);
  }
}

static ternc_status check_activation_f32(const ternc_op *op) {
  const ternc_activation_f32_args *args = (const ternc_activation_f32_args *)op->args;
  if (args->op >= ACTIVATION_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_activation_f32(const ternc_op *op) {
  return ((const ternc_activation_f32_args *)op->args)->count;
}

static void run_activation_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_activation_f32_args args = *(const ternc_activation_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_activation_f32(args.op, x[begin], args.alpha, args.beta);
}

TERNC_KERNEL(activation_f32, check_activation_f32, rows_activation_f32, run_activation_f32)

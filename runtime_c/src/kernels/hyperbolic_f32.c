/* Hyperbolic functions of float32 and their inverses (the tangent is tanh_f32): relative error
 * 5e-7. */
#include "map_f32.h"

enum {
  HYPERBOLIC_SINH, HYPERBOLIC_COSH, HYPERBOLIC_ASINH, HYPERBOLIC_ACOSH, HYPERBOLIC_ATANH,
  HYPERBOLIC_OPS
};

#define LARGE 1e9f /* from here on sqrt(x^2 + 1) is x */
#define LN2 0.6931471805599453f

/* exp(a)/2, also where exp(a) itself is too large */
static float half_exp(float a) {
  const float root = ternc_expf(0.5f * a);
  return 0.5f * root * root;
}

static float sine(float a) {
  const float t = ternc_expm1f(a);
  return a > 80.0f ? half_exp(a) : 0.5f * (t + t / (t + 1.0f));
}

static float cosine(float a) {
  const float e = ternc_expf(a);
  return a > 80.0f ? half_exp(a) : 0.5f * (e + 1.0f / e);
}

static float inverse_sine(float a) {
  if (a > LARGE) return ternc_logf(a) + LN2;
  return ternc_log1pf(a + a * a / (1.0f + ternc_sqrtf(a * a + 1.0f)));
}

static float inverse_cosine(float v) {
  const float t = v - 1.0f;
  if (v > LARGE) return ternc_logf(v) + LN2;
  if (t < 0.0f) return ternc_bits_float(0x7fc00000u); /* NaN */
  return ternc_log1pf(t + ternc_sqrtf(t * (v + 1.0f)));
}

static float apply_hyperbolic_f32(uint32_t op, float v) {
  const float a = v < 0.0f ? -v : v;
  float y;
  if (op == HYPERBOLIC_COSH) return cosine(a);
  if (op == HYPERBOLIC_ACOSH) return inverse_cosine(v);
  if (a == 0.0f) return v;
  y = op == HYPERBOLIC_SINH    ? sine(a)
      : op == HYPERBOLIC_ASINH ? inverse_sine(a)
                               : 0.5f * ternc_log1pf(2.0f * a / (1.0f - a));
  return v < 0.0f ? -y : y;
}

static ternc_status check_hyperbolic_f32(const ternc_op *op) {
  const ternc_hyperbolic_f32_args *args = (const ternc_hyperbolic_f32_args *)op->args;
  if (args->op >= HYPERBOLIC_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_hyperbolic_f32(const ternc_op *op) {
  return ((const ternc_hyperbolic_f32_args *)op->args)->count;
}

static void run_hyperbolic_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_hyperbolic_f32_args args = *(const ternc_hyperbolic_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_hyperbolic_f32(args.op, x[begin]);
}

TERNC_KERNEL(hyperbolic_f32, check_hyperbolic_f32, rows_hyperbolic_f32, run_hyperbolic_f32)

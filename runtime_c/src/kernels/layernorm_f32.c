/* Layer normalization over the last axis, float32. */
#include "../ternc_math.h"
#include "axis.h"

static ternc_status check_layernorm_f32(const ternc_op *op) {
  const ternc_layernorm_f32_args *args = (const ternc_layernorm_f32_args *)op->args;
  const uint64_t count = ternc_mul_sat(args->outer, args->n);
  if (ternc_expect(op, args->x, TERNC_F32, count) || ternc_expect(op, args->y, TERNC_F32, count) ||
      ternc_expect_optional(op, args->gamma, TERNC_F32, args->n) ||
      ternc_expect_optional(op, args->beta, TERNC_F32, args->n)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static uint32_t rows_layernorm_f32(const ternc_op *op) {
  const ternc_layernorm_f32_args *args = (const ternc_layernorm_f32_args *)op->args;
  return args->n == 0 ? 0 : args->outer;
}

/* sum((x - centre)^power), power 1 or 2; in parts, so that long rows round less. */
static float sum_layernorm_f32(const float *x, uint32_t n, float centre, int power) {
  float sum = 0.0f, part = 0.0f;
  uint32_t i;
  for (i = 0; i < n; i++) {
    const float d = x[i] - centre;
    part += power == 1 ? d : d * d;
    if ((i & 31) == 31) {
      sum += part;
      part = 0.0f;
    }
  }
  return sum + part;
}

static void run_layernorm_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_layernorm_f32_args *args = (const ternc_layernorm_f32_args *)op->args;
  const float *gamma = (const float *)ternc_data(op, args->gamma);
  const float *beta = (const float *)ternc_data(op, args->beta);
  const float n = (float)args->n;
  for (; begin < end; begin++) {
    const float *x = (const float *)ternc_data(op, args->x) + (size_t)begin * args->n;
    float *y = (float *)ternc_data(op, args->y) + (size_t)begin * args->n;
    const float mean = sum_layernorm_f32(x, args->n, 0.0f, 1) / n;
    /* What the mean was rounded by: far from 0 that is large beside the deviations. */
    const float rest = sum_layernorm_f32(x, args->n, mean, 1) / n;
    const float variance = sum_layernorm_f32(x, args->n, mean, 2) / n - rest * rest;
    const float scale = 1.0f / ternc_sqrtf(variance + args->epsilon);
    uint32_t i;
    for (i = 0; i < args->n; i++) {
      float value = (x[i] - mean - rest) * scale;
      if (gamma != NULL) value *= gamma[i];
      if (beta != NULL) value += beta[i];
      y[i] = value;
    }
  }
}

TERNC_KERNEL(layernorm_f32, check_layernorm_f32, rows_layernorm_f32, run_layernorm_f32)

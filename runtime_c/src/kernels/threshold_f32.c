/* More cheap elementwise functions of float32, selected by `op`. NaN passes through softsign and
 * is below every threshold in the others, as a comparison with it is false. */
#include "map_f32.h"

enum { THRESHOLD_SOFTSIGN, THRESHOLD_RELU, THRESHOLD_SHRINK, THRESHOLD_OPS };

static float apply_threshold_f32(uint32_t op, float v, float alpha, float beta) {
  switch (op) {
    case THRESHOLD_SOFTSIGN: return v / (1.0f + (v < 0.0f ? -v : v));
    case THRESHOLD_RELU: return v > alpha ? v : 0.0f;
    default: return v < -alpha ? v + beta : v > alpha ? v - beta : 0.0f;
  }
}

static ternc_status check_threshold_f32(const ternc_op *op) {
  const ternc_threshold_f32_args *args = (const ternc_threshold_f32_args *)op->args;
  if (args->op >= THRESHOLD_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_threshold_f32(const ternc_op *op) {
  return ((const ternc_threshold_f32_args *)op->args)->count;
}

static void run_threshold_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_threshold_f32_args args = *(const ternc_threshold_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_threshold_f32(args.op, x[begin], args.alpha, args.beta);
}

TERNC_KERNEL(threshold_f32, check_threshold_f32, rows_threshold_f32, run_threshold_f32)

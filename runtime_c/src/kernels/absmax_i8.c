/* float32 to int8 by the largest magnitude of each row, found at run time. */
#include "../ternc_arith.h"

static ternc_status check_absmax_i8(const ternc_op *op) {
  const ternc_absmax_i8_args *args = (const ternc_absmax_i8_args *)op->args;
  const uint64_t count = (uint64_t)args->rows * args->n;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->n) || args->form > 3 ||
      ternc_expect(op, args->x, TERNC_F32, count) || ternc_expect(op, args->y, TERNC_I8, count) ||
      ternc_expect(op, args->r, TERNC_F32, args->rows) || args->lo < -128 || args->hi > 127 ||
      args->lo > args->hi) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is a row. */
static uint32_t rows_absmax_i8(const ternc_op *op) {
  return ((const ternc_absmax_i8_args *)op->args)->rows;
}

static void run_absmax_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_absmax_i8_args args = *(const ternc_absmax_i8_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  int8_t *y = (int8_t *)ternc_data(op, args.y);
  float *r = (float *)ternc_data(op, args.r);
  uint32_t i;
  for (; begin < end; begin++) {
    const float *row = x + (size_t)begin * args.n;
    int8_t *out = y + (size_t)begin * args.n;
    float a = 0.0f, s;
    for (i = 0; i < args.n; i++) {
      const float v = row[i] < 0.0f ? -row[i] : row[i];
      if (v > a) a = v;
    }
    if (a < args.epsilon) a = args.epsilon;
    /* The order of operations is the pattern's, so that every code is too. */
    s = args.form == 0   ? (1.0f / a) * args.levels
        : args.form == 1 ? args.levels / a
        : args.form == 2 ? a / args.levels
                         : a * args.levels;
    for (i = 0; i < args.n; i++) {
      float v = ternc_roundf(args.form < 2 ? row[i] * s : row[i] / s);
      if (v != v) v = 0.0f; /* an all-zero row without epsilon */
      out[i] = (int8_t)ternc_clampf(v, (float)args.lo, (float)args.hi);
    }
    r[begin] = args.form < 2 ? 1.0f / s : s;
    if (!(r[begin] == r[begin])) r[begin] = 0.0f;
  }
}

TERNC_KERNEL(absmax_i8, check_absmax_i8, rows_absmax_i8, run_absmax_i8)

/* Dense layer, int8 weights in blocks of four outputs: two rows at a time where there are two. */
#include "block4.h"

static ternc_status check_dense_i8_blocked(const ternc_op *op) {
  const ternc_dense_i8_blocked_args *a = (const ternc_dense_i8_blocked_args *)op->args;
  if (!ternc_is_dim(a->rows) || !ternc_is_dim(a->in_features) || !ternc_is_dim(a->out_features) ||
      !ternc_is_requant32(a->shift, a->lo, a->hi) ||
      ternc_expect(op, a->x, TERNC_I8, (uint64_t)a->rows * a->in_features) ||
      ternc_expect(op, a->y, TERNC_I8, (uint64_t)a->rows * a->out_features) ||
      ternc_expect(op, a->m, TERNC_I32, a->out_features) ||
      ternc_expect(op, a->c, TERNC_I32, a->out_features) ||
      ternc_expect(op, a->w, TERNC_I8, (uint64_t)((a->out_features + 3) & ~3u) * a->in_features)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static uint32_t rows_dense_i8_blocked(const ternc_op *op) {
  const ternc_dense_i8_blocked_args *a = (const ternc_dense_i8_blocked_args *)op->args;
  return a->rows == 1 ? (a->out_features + 3) / 4 : a->rows;
}

static void run_dense_i8_blocked(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_dense_i8_blocked_args a = *(const ternc_dense_i8_blocked_args *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const int8_t *w = (const int8_t *)ternc_data(op, a.w);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  ternc_block4 k;
  k.m = (const int32_t *)ternc_data(op, a.m);
  k.c = (const int32_t *)ternc_data(op, a.c);
  k.outputs = a.out_features;
  k.shift = a.shift;
  k.lo = a.lo;
  k.hi = a.hi;
  k.add = NULL;
  if (a.rows == 1) { /* a range of blocks */
    if (begin == end) return;
    k.m += 4 * begin;
    k.c += 4 * begin;
    k.outputs = (4 * end < a.out_features ? 4 * end : a.out_features) - 4 * begin;
    ternc_block4_one(&k, x, a.in_features, w + (size_t)begin * 4 * a.in_features, y + 4 * begin);
    return;
  }
  x += (size_t)begin * a.in_features;
  y += (size_t)begin * a.out_features;
  for (; end - begin >= 2; begin += 2, x += 2 * a.in_features, y += 2 * a.out_features) {
    ternc_block4_two(&k, x, x + a.in_features, a.in_features, w, y, y + a.out_features);
  }
  if (begin < end) ternc_block4_one(&k, x, a.in_features, w, y);
}

TERNC_KERNEL(dense_i8_blocked, check_dense_i8_blocked, rows_dense_i8_blocked, run_dense_i8_blocked)

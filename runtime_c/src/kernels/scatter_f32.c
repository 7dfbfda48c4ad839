/* Updates that are added to, multiplied with or compared with the elements at given places. */
#include "move.h"

enum { SCATTER_ADD, SCATTER_MUL, SCATTER_MIN, SCATTER_MAX };

static ternc_status check_scatter_f32(const ternc_op *op) {
  const ternc_scatter_f32_args *args = (const ternc_scatter_f32_args *)op->args;
  if (args->op > SCATTER_MAX || ternc_expect(op, args->x, TERNC_F32, args->count) ||
      ternc_expect(op, args->y, TERNC_F32, args->count) ||
      ternc_expect(op, args->indices, TERNC_I32, args->n) ||
      ternc_expect(op, args->u, TERNC_F32, args->n) || ternc_overlap(op, args->x, args->y) ||
      ternc_overlap(op, args->u, args->y)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element of y, with all the updates that it gets. */
static uint32_t rows_scatter_f32(const ternc_op *op) {
  return ((const ternc_scatter_f32_args *)op->args)->count;
}

static void run_scatter_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_scatter_f32_args *args = (const ternc_scatter_f32_args *)op->args;
  const int32_t *indices = (const int32_t *)ternc_data(op, args->indices);
  const float *u = (const float *)ternc_data(op, args->u);
  float *y = (float *)ternc_data(op, args->y);
  uint32_t k;
  if (begin >= end) return;
  memcpy(y + begin, (const float *)ternc_data(op, args->x) + begin,
         (size_t)(end - begin) * sizeof *y);
  for (k = 0; k < args->n; k++) {
    const uint32_t at = (uint32_t)indices[k];
    const float q = u[k];
    float p;
    if (at < begin || at >= end) continue;
    p = y[at];
    switch (args->op) {
      case SCATTER_ADD: y[at] = p + q; break;
      case SCATTER_MUL: y[at] = p * q; break;
      /* A NaN on either side wins. */
      case SCATTER_MIN: y[at] = p < q || p != p ? p : q; break;
      default: y[at] = p > q || p != p ? p : q;
    }
  }
}

TERNC_KERNEL(scatter_f32, check_scatter_f32, rows_scatter_f32, run_scatter_f32)

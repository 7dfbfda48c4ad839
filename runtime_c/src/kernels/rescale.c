/* From one fixed-point scale to another, int8 or int16 on either side. */
#include "../ternc_arith.h"

static int is_wide_rescale(const ternc_op *op, uint32_t tensor) {
  return ternc_record(op, tensor)->dtype == TERNC_I16;
}

static ternc_status check_rescale(const ternc_op *op) {
  const ternc_rescale_args *args = (const ternc_rescale_args *)op->args;
  const int x_wide = is_wide_rescale(op, args->x), y_wide = is_wide_rescale(op, args->y);
  const int32_t edge = y_wide ? 32768 : 128;
  if (ternc_expect(op, args->x, x_wide ? TERNC_I16 : TERNC_I8, args->count) ||
      ternc_expect(op, args->y, y_wide ? TERNC_I16 : TERNC_I8, args->count) ||
      args->shift > TERNC_MAX_SHIFT || args->lo > args->hi || args->lo < -edge ||
      args->hi >= edge) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_rescale(const ternc_op *op) {
  return ((const ternc_rescale_args *)op->args)->count;
}

static void run_rescale(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_rescale_args args = *(const ternc_rescale_args *)op->args;
  const void *x = ternc_data(op, args.x);
  void *y = ternc_data(op, args.y);
  const int x_wide = is_wide_rescale(op, args.x), y_wide = is_wide_rescale(op, args.y);
  for (; begin < end; begin++) {
    const int32_t v = x_wide ? ((const int16_t *)x)[begin] : ((const int8_t *)x)[begin];
    const int32_t scaled = ternc_requant(v, args.m, args.c, args.shift, args.lo, args.hi);
    if (y_wide) {
      ((int16_t *)y)[begin] = (int16_t)scaled;
    } else {
      ((int8_t *)y)[begin] = (int8_t)scaled;
    }
  }
}

TERNC_KERNEL(rescale, check_rescale, rows_rescale, run_rescale)

/* Any function of one byte, by table. */
#include "../ternc_arith.h"

static ternc_status check_lut_i8(const ternc_op *op) {
  const ternc_lut_i8_args *args = (const ternc_lut_i8_args *)op->args;
  if (ternc_expect_sized(op, args->x, 1, args->count) ||
      ternc_expect_sized(op, args->y, 1, args->count) ||
      ternc_expect_sized(op, args->table, 1, 256)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_lut_i8(const ternc_op *op) {
  return ((const ternc_lut_i8_args *)op->args)->count;
}

static void run_lut_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_lut_i8_args *args = (const ternc_lut_i8_args *)op->args;
  const uint8_t *x = (const uint8_t *)ternc_data(op, args->x);
  const uint8_t *table = (const uint8_t *)ternc_data(op, args->table);
  uint8_t *y = (uint8_t *)ternc_data(op, args->y);
  for (; begin < end; begin++) y[begin] = table[x[begin]];
}

TERNC_KERNEL(lut_i8, check_lut_i8, rows_lut_i8, run_lut_i8)

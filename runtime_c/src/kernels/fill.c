/* A tensor of one value. */
#include "move.h"

static ternc_status check_fill(const ternc_op *op) {
  const ternc_fill_args *args = (const ternc_fill_args *)op->args;
  return ternc_expect_sized(op, args->y, args->size, args->count);
}

/* A row is one element. */
static uint32_t rows_fill(const ternc_op *op) {
  return ((const ternc_fill_args *)op->args)->count;
}

static void run_fill(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_fill_args *args = (const ternc_fill_args *)op->args;
  void *y = ternc_data(op, args->y);
  if (begin >= end) return;
  if (args->size == 1) {
    memset((uint8_t *)y + begin, (int)(args->value & 0xffu), end - begin);
  } else if (args->size == 2) {
    for (; begin < end; begin++) ((ternc_move2 *)y)[begin] = (uint16_t)args->value;
  } else {
    for (; begin < end; begin++) ((ternc_move4 *)y)[begin] = args->value;
  }
}

TERNC_KERNEL(fill, check_fill, rows_fill, run_fill)

/* Strided copy: Transpose, Slice, Concat, Split, Expand and Pad. */
#include "move.h"
#include "nd.h"

static ternc_status check_copy_nd(const ternc_op *op) {
  const ternc_copy_nd_args *args = (const ternc_copy_nd_args *)op->args;
  const uint32_t *words = TERNC_ND_WORDS(copy_nd, op);
  const uint64_t count = ternc_nd_count(words);
  uint64_t room;
  if (ternc_expect_sized(op, args->x, args->size, 0) ||
      ternc_expect_sized(op, args->y, args->size, 0)) {
    return TERNC_E_OPERAND;
  }
  if (count == 0) return TERNC_OK;
  room = ternc_record(op, args->y)->size / args->size;
  /* More copies than places would write a place twice: no program needs that. */
  if (count > room || ternc_overlap(op, args->x, args->y) ||
      !ternc_nd_fits(words, ternc_nd_strides(words, 1), args->y_offset, room) ||
      !ternc_nd_fits(words, ternc_nd_strides(words, 0), args->x_offset,
                     ternc_record(op, args->x)->size / args->size)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static uint32_t rows_copy_nd(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(copy_nd, op));
}

static void run_copy_nd(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_copy_nd_args *args = (const ternc_copy_nd_args *)op->args;
  const size_t size = args->size;
  const uint8_t *x = (const uint8_t *)ternc_data(op, args->x) + args->x_offset * size;
  uint8_t *y = (uint8_t *)ternc_data(op, args->y) + args->y_offset * size;
  size_t step_x, step_y;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(copy_nd, op), begin);
  step_x = ternc_nd_step(&nd, 0);
  step_y = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run) {
    run = ternc_nd_run(&nd, end - begin);
    if (step_x == 1 && step_y == 1) {
      memcpy(y + (ptrdiff_t)(nd.at[1] * size), x + (ptrdiff_t)(nd.at[0] * size), run * size);
    } else {
      ternc_copy_strided(y, nd.at[1], step_y, x, nd.at[0], step_x, run, args->size);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(copy_nd, check_copy_nd, rows_copy_nd, run_copy_nd)

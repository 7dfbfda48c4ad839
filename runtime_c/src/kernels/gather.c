/* Slices of the middle axis by index, as ONNX Gather; an index out of range reads the nearest. */
#include "axis.h"
#include "move.h"

static ternc_status check_gather(const ternc_op *op) {
  const ternc_gather_args *args = (const ternc_gather_args *)op->args;
  const uint64_t read = ternc_mul3(args->outer, args->axis, args->inner);
  const uint64_t written = ternc_mul3(args->outer, args->n_indices, args->inner);
  if (ternc_expect_sized(op, args->x, args->size, read) ||
      ternc_expect_sized(op, args->y, args->size, written) ||
      ternc_expect(op, args->indices, TERNC_I32, args->n_indices)) {
    return TERNC_E_OPERAND;
  }
  if (written == 0) return TERNC_OK;
  if (args->axis == 0 || args->axis > INT32_MAX || ternc_overlap(op, args->x, args->y) ||
      ternc_overlap(op, args->indices, args->y)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one index of one outer slice. */
static uint32_t rows_gather(const ternc_op *op) {
  const ternc_gather_args *args = (const ternc_gather_args *)op->args;
  return args->inner == 0 ? 0 : args->outer * args->n_indices;
}

static void run_gather(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_gather_args *args = (const ternc_gather_args *)op->args;
  const size_t bytes = (size_t)args->inner * args->size;
  const int32_t axis = (int32_t)args->axis;
  const uint8_t *x = (const uint8_t *)ternc_data(op, args->x);
  const int32_t *indices = (const int32_t *)ternc_data(op, args->indices);
  uint8_t *y = (uint8_t *)ternc_data(op, args->y);
  for (; begin < end; begin++) {
    int32_t index = indices[begin % args->n_indices];
    if (index < 0) index += axis;
    index = ternc_clamp(index, 0, axis - 1);
    memcpy(y + begin * bytes,
           x + ((size_t)(begin / args->n_indices) * args->axis + (size_t)index) * bytes, bytes);
  }
}

TERNC_KERNEL(gather, check_gather, rows_gather, run_gather)

/* Minimum or maximum of two integer tensors of one type, with broadcasting. */
#include "nd.h"

static ternc_status check_extremum(const ternc_op *op) {
  const ternc_extremum_args *args = (const ternc_extremum_args *)op->args;
  uint32_t dtype;
  if (args->minimum > 1 || args->a == TERNC_NONE || args->b == TERNC_NONE) return TERNC_E_OPERAND;
  dtype = ternc_record(op, args->a)->dtype;
  if (dtype != TERNC_I8 && dtype != TERNC_U8 && dtype != TERNC_I16 && dtype != TERNC_I32) {
    return TERNC_E_OPERAND;
  }
  return ternc_nd_check_ab(op, TERNC_ND_WORDS(extremum, op), dtype, dtype);
}

static uint32_t rows_extremum(const ternc_op *op) {
  return ternc_nd_rows(TERNC_ND_WORDS(extremum, op));
}

static int32_t element_at(const void *x, uint32_t dtype, size_t at) {
  switch (dtype) {
    case TERNC_I8: return ((const int8_t *)x)[at];
    case TERNC_U8: return ((const uint8_t *)x)[at];
    case TERNC_I16: return ((const int16_t *)x)[at];
    default: return ((const int32_t *)x)[at];
  }
}

static void put_at(void *y, uint32_t dtype, size_t at, int32_t value) {
  switch (dtype) {
    case TERNC_I8: ((int8_t *)y)[at] = (int8_t)value; break;
    case TERNC_U8: ((uint8_t *)y)[at] = (uint8_t)value; break;
    case TERNC_I16: ((int16_t *)y)[at] = (int16_t)value; break;
    default: ((int32_t *)y)[at] = value; break;
  }
}

static void run_extremum(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_extremum_args *args = (const ternc_extremum_args *)op->args;
  const uint32_t dtype = ternc_record(op, args->a)->dtype;
  const void *a = ternc_data(op, args->a), *b = ternc_data(op, args->b);
  void *y = ternc_data(op, args->y);
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, TERNC_ND_WORDS(extremum, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
  for (; begin < end; begin += run) {
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    for (k = 0; k < run; k++, i += step_a, j += step_b) {
      const int32_t left = element_at(a, dtype, i), right = element_at(b, dtype, j);
      put_at(y, dtype, begin + k, (left < right) == (args->minimum == 1) ? left : right);
    }
    ternc_nd_next(&nd, run);
  }
}

TERNC_KERNEL(extremum, check_extremum, rows_extremum, run_extremum)

/* Element type conversion. Integers convert modulo 2^bits, as ONNX Cast says; what ONNX leaves
 * undefined (a float out of range) saturates here, and NaN gives 0. */
#include "../ternc_arith.h"

static uint32_t dtype_cast(const ternc_op *op, uint32_t tensor) {
  return ternc_record(op, tensor)->dtype;
}

static ternc_status check_cast(const ternc_op *op) {
  const ternc_cast_args *args = (const ternc_cast_args *)op->args;
  if (ternc_expect(op, args->x, dtype_cast(op, args->x), args->count) ||
      ternc_expect(op, args->y, dtype_cast(op, args->y), args->count)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_cast(const ternc_op *op) {
  return ((const ternc_cast_args *)op->args)->count;
}

static int32_t integer_cast(const void *x, uint32_t dtype, uint32_t i) {
  switch (dtype) {
    case TERNC_I8: return ((const int8_t *)x)[i];
    case TERNC_U8: return ((const uint8_t *)x)[i];
    case TERNC_I16: return ((const int16_t *)x)[i];
    case TERNC_I32: return ((const int32_t *)x)[i];
    default: return ((const uint8_t *)x)[i] != 0; /* bool */
  }
}

/* Towards zero, within [lo, hi]; the bounds are compared as float, where they may round up. */
static int32_t truncate_cast(float value, int32_t lo, int32_t hi) {
  if (value != value) return 0;
  if (value >= (float)hi) return hi;
  if (value <= (float)lo) return lo;
  return (int32_t)value;
}

static int32_t saturate_cast(float value, uint32_t dtype) {
  switch (dtype) {
    case TERNC_I8: return truncate_cast(value, -128, 127);
    case TERNC_U8: return truncate_cast(value, 0, 255);
    case TERNC_I16: return truncate_cast(value, INT16_MIN, INT16_MAX);
    case TERNC_I32: return truncate_cast(value, INT32_MIN, INT32_MAX);
    default: return value != 0.0f; /* bool; NaN is true */
  }
}

static void store_cast(void *y, uint32_t dtype, uint32_t i, int32_t value) {
  switch (dtype) {
    case TERNC_I8:
    case TERNC_U8: ((uint8_t *)y)[i] = (uint8_t)value; break;
    case TERNC_I16: ((uint16_t *)y)[i] = (uint16_t)value; break;
    case TERNC_I32: ((int32_t *)y)[i] = value; break;
    default: ((uint8_t *)y)[i] = value != 0; /* bool */
  }
}

static void run_cast(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_cast_args *args = (const ternc_cast_args *)op->args;
  const uint32_t from = dtype_cast(op, args->x), to = dtype_cast(op, args->y);
  const void *x = ternc_data(op, args->x);
  void *y = ternc_data(op, args->y);
  for (; begin < end; begin++) {
    if (from != TERNC_F32 && to != TERNC_F32) {
      store_cast(y, to, begin, integer_cast(x, from, begin));
    } else if (from != TERNC_F32) {
      ((float *)y)[begin] = (float)integer_cast(x, from, begin);
    } else if (to != TERNC_F32) {
      store_cast(y, to, begin, saturate_cast(((const float *)x)[begin], to));
    } else {
      ((float *)y)[begin] = ((const float *)x)[begin];
    }
  }
}

TERNC_KERNEL(cast, check_cast, rows_cast, run_cast)

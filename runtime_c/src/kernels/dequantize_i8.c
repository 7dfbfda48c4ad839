/* int8 or uint8 to float32, as ONNX DequantizeLinear. */
#include "../ternc_arith.h"

static ternc_status check_dequantize_i8(const ternc_op *op) {
  const ternc_dequantize_i8_args *args = (const ternc_dequantize_i8_args *)op->args;
  const uint32_t dtype = ternc_record(op, args->x)->dtype == TERNC_U8 ? TERNC_U8 : TERNC_I8;
  if (ternc_expect(op, args->x, dtype, args->count) ||
      ternc_expect(op, args->y, TERNC_F32, args->count) ||
      args->zero < -128 || args->zero > 255) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_dequantize_i8(const ternc_op *op) {
  return ((const ternc_dequantize_i8_args *)op->args)->count;
}

static void run_dequantize_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_dequantize_i8_args *args = (const ternc_dequantize_i8_args *)op->args;
  const void *x = ternc_data(op, args->x);
  float *y = (float *)ternc_data(op, args->y);
  if (ternc_record(op, args->x)->dtype == TERNC_U8) {
    const uint8_t *from = (const uint8_t *)x;
    for (; begin < end; begin++) y[begin] = (float)(from[begin] - args->zero) * args->scale;
  } else {
    const int8_t *from = (const int8_t *)x;
    for (; begin < end; begin++) y[begin] = (float)(from[begin] - args->zero) * args->scale;
  }
}

TERNC_KERNEL(dequantize_i8, check_dequantize_i8, rows_dequantize_i8, run_dequantize_i8)

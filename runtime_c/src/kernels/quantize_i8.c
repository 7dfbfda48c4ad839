/* float32 to int8 or uint8, as ONNX QuantizeLinear. */
#include "../ternc_arith.h"

static ternc_status check_quantize_i8(const ternc_op *op) {
  const ternc_quantize_i8_args *args = (const ternc_quantize_i8_args *)op->args;
  const int is_signed = ternc_record(op, args->y)->dtype != TERNC_U8;
  const int32_t least = is_signed ? -128 : 0, most = is_signed ? 127 : 255;
  if (ternc_expect(op, args->x, TERNC_F32, args->count) ||
      ternc_expect(op, args->y, is_signed ? TERNC_I8 : TERNC_U8, args->count) ||
      args->lo < least || args->hi > most || args->lo > args->hi ||
      args->zero < least || args->zero > most) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_quantize_i8(const ternc_op *op) {
  return ((const ternc_quantize_i8_args *)op->args)->count;
}

static void run_quantize_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_quantize_i8_args *args = (const ternc_quantize_i8_args *)op->args;
  const float *x = (const float *)ternc_data(op, args->x);
  uint8_t *y = (uint8_t *)ternc_data(op, args->y); /* the low byte is the same for both types */
  for (; begin < end; begin++) {
    y[begin] = (uint8_t)ternc_quantize(x[begin], args->scale, args->zero, args->lo, args->hi);
  }
}

TERNC_KERNEL(quantize_i8, check_quantize_i8, rows_quantize_i8, run_quantize_i8)

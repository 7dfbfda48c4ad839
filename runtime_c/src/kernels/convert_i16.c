/* float32 to int16 or back: ONNX QuantizeLinear and DequantizeLinear with zero point 0. */
#include "../ternc_arith.h"

static int is_quantizing_convert_i16(const ternc_op *op) {
  return ternc_record(op, ((const ternc_convert_i16_args *)op->args)->y)->dtype == TERNC_I16;
}

static ternc_status check_convert_i16(const ternc_op *op) {
  const ternc_convert_i16_args *args = (const ternc_convert_i16_args *)op->args;
  const int quantizing = is_quantizing_convert_i16(op);
  if (ternc_expect(op, args->x, quantizing ? TERNC_F32 : TERNC_I16, args->count) ||
      ternc_expect(op, args->y, quantizing ? TERNC_I16 : TERNC_F32, args->count) ||
      args->lo < -32768 || args->hi > 32767 || args->lo > args->hi) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_convert_i16(const ternc_op *op) {
  return ((const ternc_convert_i16_args *)op->args)->count;
}

static void run_convert_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_convert_i16_args *args = (const ternc_convert_i16_args *)op->args;
  const void *x = ternc_data(op, args->x);
  void *y = ternc_data(op, args->y);
  if (is_quantizing_convert_i16(op)) {
    for (; begin < end; begin++) {
      ((int16_t *)y)[begin] = (int16_t)ternc_quantize(((const float *)x)[begin], args->scale, 0,
                                                      args->lo, args->hi);
    }
  } else {
    for (; begin < end; begin++) {
      ((float *)y)[begin] = (float)((const int16_t *)x)[begin] * args->scale;
    }
  }
}

TERNC_KERNEL(convert_i16, check_convert_i16, rows_convert_i16, run_convert_i16)

/* Checks and addresses that many kernels ask for. */
#include "ternc_check.h"

#include "kernels/conv2d_taps.h"
#include "kernels/fast.h"

/* Out of line: a kernel asks for half a dozen addresses, once. */
void *ternc_data(const ternc_op *op, uint32_t tensor) {
  const ternc_tensor_record *record;
  if (tensor == TERNC_NONE) return NULL;
  record = ternc_record(op, tensor);
  if (record->region == TERNC_CONSTANTS) return (void *)(uintptr_t)(op->model->constants + record->offset);
  return op->model->regions[record->region] + record->offset;
}

TERNC_COLD uint64_t ternc_mul_sat(uint64_t a, uint64_t b) {
  if (a == 0 || b == 0) return 0;
  return ((a | b) >> 32) != 0 ? UINT64_MAX : a * b;
}

uint32_t ternc_element_size(uint32_t dtype) {
  switch (dtype) {
    case TERNC_F32:
    case TERNC_I32: return 4;
    case TERNC_I16: return 2;
    case TERNC_I8:
    case TERNC_U8:
    case TERNC_BOOL: return 1;
    default: return 0;
  }
}

TERNC_COLD ternc_status ternc_expect(const ternc_op *op, uint32_t tensor, uint32_t dtype, uint64_t count) {
  const uint32_t size = ternc_element_size(dtype), shift = size >> 1; /* of 1, 2 or 4 */
  const ternc_tensor_record *record;
  if (tensor == TERNC_NONE || size == 0) return TERNC_E_OPERAND;
  record = ternc_record(op, tensor);
  if (record->dtype != dtype || (record->offset & (size - 1)) != 0) return TERNC_E_OPERAND;
  return record->size >> shift >= count ? TERNC_OK : TERNC_E_OPERAND;
}

static uint64_t elements(uint32_t n, uint32_t height, uint32_t width, uint32_t channels) {
  return ternc_mul_sat(ternc_mul_sat((uint64_t)n * height, width), channels);
}

TERNC_COLD static ternc_status check(const ternc_op *op, int32_t x_zero, const ternc_requant_operands *q) {
  const ternc_conv_operands *a = (const ternc_conv_operands *)op->args;
  if (!ternc_is_dim(a->n) || !ternc_is_dim(a->in_c) || !ternc_is_dim(a->out_c) || a->up_h != 1 ||
      a->up_w != 1 || !ternc_is_i8(x_zero) ||
      !ternc_conv_axis_fits(a->in_h, a->kernel_h, a->stride_h, a->dilation_h, a->pad_top, 1,
                            a->out_h) ||
      !ternc_conv_axis_fits(a->in_w, a->kernel_w, a->stride_w, a->dilation_w, a->pad_left, 1,
                            a->out_w) ||
      !ternc_is_requant32(q->shift, q->lo, q->hi) ||
      ternc_expect(op, a->x, TERNC_I8, elements(a->n, a->in_h, a->in_w, a->in_c)) ||
      ternc_expect(op, a->y, TERNC_I8, elements(a->n, a->out_h, a->out_w, a->out_c)) ||
      ternc_expect(op, a->m, TERNC_I32, a->out_c) || ternc_expect(op, a->c, TERNC_I32, a->out_c)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

TERNC_COLD ternc_status ternc_depthwise_check(const ternc_op *op, int32_t x_zero,
                                              const ternc_requant_operands *q) {
  const ternc_conv_operands *a = (const ternc_conv_operands *)op->args;
  if (check(op, x_zero, q) || a->groups != a->in_c || a->out_c % a->groups != 0) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

TERNC_COLD ternc_status ternc_conv_check(const ternc_op *op, int32_t x_zero,
                                         const ternc_requant_operands *q,
                                         const ternc_residual *add) {
  const ternc_conv_operands *a = (const ternc_conv_operands *)op->args;
  const uint64_t outputs = elements(a->n, a->out_h, a->out_w, a->out_c);
  if (check(op, x_zero, q) || a->groups != 1) return TERNC_E_OPERAND;
  if (add != NULL && add->r != TERNC_NONE &&
      (!ternc_is_requant32(add->sum_shift, add->sum_lo, add->sum_hi) ||
       ternc_expect(op, add->r, TERNC_I8, outputs))) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

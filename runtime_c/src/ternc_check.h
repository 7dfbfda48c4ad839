/* What the kernels' checks have in common, once for all of them (internal to the runtime). */
#ifndef TERNC_CHECK_H
#define TERNC_CHECK_H

#include "ternc_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* a*b; the largest number when that does not fit, or when a factor has more than 32 bits and so
 * counts more than any tensor can hold. 0 times anything is 0. */
uint64_t ternc_mul_sat(uint64_t a, uint64_t b);

/* Bytes of one element; 0 for a number that is no ternc_dtype. */
uint32_t ternc_element_size(uint32_t dtype);

/* Whether the tensor is present, of the dtype, aligned to its elements, and holds at least `count`
 * of them. Every operand of every kernel goes through this in `check`. */
ternc_status ternc_expect(const ternc_op *op, uint32_t tensor, uint32_t dtype, uint64_t count);

/* The operands that all fast convolutions begin with. */
typedef struct {
  uint32_t x, w, m, c, y, scratch;
  uint32_t n, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride_h, stride_w;
  uint32_t dilation_h, dilation_w;
  int32_t pad_top, pad_left;
  uint32_t up_h, up_w, groups;
} ternc_conv_operands;

/* The constants of a requantization to int8, as they follow each other in an instruction. */
typedef struct {
  uint32_t shift;
  int32_t lo, hi;
} ternc_requant_operands;

/* A residual that is added to what was requantized, as add_i8 does: the operands at the end of an
 * instruction. `r` is TERNC_NONE where there is none. */
typedef struct {
  uint32_t r;
  int32_t y_m, r_m, sum_c;
  uint32_t sum_shift;
  int32_t sum_lo, sum_hi;
} ternc_residual;

#define TERNC_REQUANT_OF(args) ((const ternc_requant_operands *)(const void *)&(args)->shift)
#define TERNC_RESIDUAL_OF(args) ((const ternc_residual *)(const void *)&(args)->r)

/* Geometry and requantization of a convolution with 32-bit requantization, groups 1 and up 1; that
 * x, y, m and c fit it. `add`: NULL where the instruction has no residual. */
ternc_status ternc_conv_check(const ternc_op *op, int32_t x_zero, const ternc_requant_operands *q,
                              const ternc_residual *add);

/* The same with one input channel in each group. */
ternc_status ternc_depthwise_check(const ternc_op *op, int32_t x_zero,
                                   const ternc_requant_operands *q);

#ifdef __cplusplus
}
#endif
#endif

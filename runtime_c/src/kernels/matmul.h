/* Operand checks and row walking of the two matrix products of activations (internal). A row is a
 * row of y or, when there is only one, an element: so the work always divides. */
#ifndef TERNC_MATMUL_H
#define TERNC_MATMUL_H

#include "../ternc_arith.h"

/* The operand words that both instructions start with. */
typedef ternc_matmul_f32_args ternc_matmul;

/* One past the last element that the strides reach; dims are at most 2^24, so nothing overflows. */
static inline uint64_t ternc_matmul_reach(uint32_t batch0, uint32_t stride0, uint32_t batch1,
                                          uint32_t stride1, uint32_t rows, uint32_t stride2,
                                          uint32_t cols, uint32_t stride3) {
  return (uint64_t)(batch0 - 1) * stride0 + (uint64_t)(batch1 - 1) * stride1 +
         (uint64_t)(rows - 1) * stride2 + (uint64_t)(cols - 1) * stride3 + 1;
}

/* The geometry and the operands a and b. */
static inline ternc_status ternc_matmul_check_inputs(const ternc_op *op, uint32_t dtype) {
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  if (!ternc_is_dim(m->batch0) || !ternc_is_dim(m->batch1) || !ternc_is_dim(m->rows) ||
      !ternc_is_dim(m->inner) || !ternc_is_dim(m->cols) ||
      ternc_expect(op, m->a, dtype,
                   ternc_matmul_reach(m->batch0, m->a_batch0, m->batch1, m->a_batch1, m->rows,
                                      m->a_row, m->inner, m->a_inner)) ||
      ternc_expect(op, m->b, dtype,
                   ternc_matmul_reach(m->batch0, m->b_batch0, m->batch1, m->b_batch1, m->inner,
                                      m->b_inner, m->cols, m->b_col))) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* Elements of y. */
static inline uint64_t ternc_matmul_outputs(const ternc_op *op) {
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  return ternc_mul_sat(ternc_mul_sat((uint64_t)m->batch0 * m->batch1, m->rows), m->cols);
}

static inline ternc_status ternc_matmul_check(const ternc_op *op, uint32_t dtype) {
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  if (ternc_matmul_check_inputs(op, dtype)) return TERNC_E_OPERAND;
  return ternc_expect(op, m->y, dtype, ternc_matmul_outputs(op));
}

static inline uint32_t ternc_matmul_rows(const ternc_op *op) {
  const ternc_matmul *m = (const ternc_matmul *)op->args;
  const uint32_t rows = m->batch0 * m->batch1 * m->rows;
  return rows == 1 ? m->cols : rows;
}

/* The elements of y from `first` to `last` that rows begin..end are. */
static inline void ternc_matmul_range(const ternc_matmul *m, uint32_t begin, uint32_t end,
                                      size_t *first, size_t *last) {
  const size_t width = m->batch0 * m->batch1 * m->rows == 1 ? 1 : m->cols;
  *first = begin * width;
  *last = end * width;
}

/* Where a's row and b's column of element `at` of y start. */
static inline void ternc_matmul_at(const ternc_matmul *m, size_t at, size_t *a, size_t *b) {
  const size_t col = at % m->cols, line = at / m->cols;
  const size_t row = line % m->rows, batch = line / m->rows;
  const size_t i = batch / m->batch1, j = batch % m->batch1;
  *a = i * m->a_batch0 + j * m->a_batch1 + row * m->a_row;
  *b = i * m->b_batch0 + j * m->b_batch1 + col * m->b_col;
}

#endif

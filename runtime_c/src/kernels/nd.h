/* Walking n-dimensional indices with element strides (internal to the kernels).
 *
 * A "row" of these kernels is one element of the dense index space, so work splits anywhere. Dims
 * that are contiguous in both tensors are merged first: a dense operation is one single run. */
#ifndef TERNC_ND_H
#define TERNC_ND_H

#include "../ternc_arith.h"
#include "../ternc_kernel.h"

enum { TERNC_ND_RANK = 6 };

typedef struct {
  uint32_t rank; /* dims left after merging, at least 1 */
  uint32_t dim[TERNC_ND_RANK], index[TERNC_ND_RANK];
  int32_t stride[2][TERNC_ND_RANK];
  size_t at[2]; /* element positions; unsigned, so that stepping past an edge is defined */
} ternc_nd;

/* Number of indices below the dims; UINT64_MAX when they are more than 2^32 - 1. */
static inline uint64_t ternc_nd_count(const uint32_t *dims) {
  uint64_t count = 1;
  uint32_t i;
  for (i = 0; i < TERNC_ND_RANK; i++) {
    if (dims[i] == 0) return 0;
  }
  for (i = 0; i < TERNC_ND_RANK; i++) {
    count *= dims[i];
    if (count > UINT32_MAX) return UINT64_MAX;
  }
  return count;
}

/* True when base + i.strides is below `elements` for every index i; no dim may be 0. */
static inline int ternc_nd_fits(const uint32_t *dims, const int32_t *strides, uint32_t base,
                                uint64_t elements) {
  int64_t low = base, high = base;
  uint32_t i;
  for (i = 0; i < TERNC_ND_RANK; i++) {
    /* |reach| is at most (2^32 - 1)*2^31 and capped before it is summed: nothing overflows. */
    const int64_t reach = (int64_t)(dims[i] - 1) * strides[i];
    if (reach > UINT32_MAX || reach < -(int64_t)UINT32_MAX) return 0;
    if (reach > 0) high += reach;
    else low += reach;
  }
  return low >= 0 && (uint64_t)high < elements;
}

/* The operand words d0..d5 of an instruction; its two tensors' strides follow them. */
#define TERNC_ND_WORDS(name, op) \
  ((const uint32_t *)(op)->args + offsetof(ternc_##name##_args, d0) / sizeof(uint32_t))

static inline const int32_t *ternc_nd_strides(const uint32_t *words, uint32_t tensor) {
  return (const int32_t *)(const void *)(words + TERNC_ND_RANK * (1 + tensor));
}

/* Rows of a checked instruction: its elements. */
static inline uint32_t ternc_nd_rows(const uint32_t *words) {
  return (uint32_t)ternc_nd_count(words);
}

/* Checks an elementwise instruction whose operands start with a, b, of one type, and y. */
static inline ternc_status ternc_nd_check_ab(const ternc_op *op, const uint32_t *words,
                                             uint32_t dtype, uint32_t y_dtype) {
  const uint32_t *operands = (const uint32_t *)op->args;
  const uint64_t count = ternc_nd_count(words);
  uint32_t i;
  for (i = 0; i < 2; i++) {
    const uint64_t elements = ternc_record(op, operands[i])->size / ternc_element_size(dtype);
    if (ternc_expect(op, operands[i], dtype, 0)) return TERNC_E_OPERAND;
    if (count > 0 && !ternc_nd_fits(words, ternc_nd_strides(words, i), 0, elements)) {
      return TERNC_E_OPERAND;
    }
  }
  return ternc_expect(op, operands[2], y_dtype, count);
}

/* Positions the walk at index number `first` of the row-major order. */
static inline void ternc_nd_start(ternc_nd *nd, const uint32_t *dims, uint32_t first) {
  const int32_t *strides0 = ternc_nd_strides(dims, 0), *strides1 = ternc_nd_strides(dims, 1);
  uint32_t rank = 0, i;
  for (i = 0; i < TERNC_ND_RANK; i++) {
    if (dims[i] == 1) continue;
    if (rank > 0 && (int64_t)strides0[i] * dims[i] == nd->stride[0][rank - 1] &&
        (int64_t)strides1[i] * dims[i] == nd->stride[1][rank - 1]) {
      nd->dim[rank - 1] *= dims[i];
    } else {
      nd->dim[rank++] = dims[i];
    }
    nd->stride[0][rank - 1] = strides0[i];
    nd->stride[1][rank - 1] = strides1[i];
  }
  if (rank == 0) {
    nd->dim[rank++] = 1;
    nd->stride[0][0] = nd->stride[1][0] = 0;
  }
  nd->rank = rank;
  nd->at[0] = nd->at[1] = 0;
  for (i = rank; i-- > 0;) {
    nd->index[i] = first % nd->dim[i];
    first /= nd->dim[i];
    nd->at[0] += nd->index[i] * (size_t)nd->stride[0][i];
    nd->at[1] += nd->index[i] * (size_t)nd->stride[1][i];
  }
}

/* Elements from here to the end of the innermost dim, at most `left`. */
static inline uint32_t ternc_nd_run(const ternc_nd *nd, uint32_t left) {
  const uint32_t run = nd->dim[nd->rank - 1] - nd->index[nd->rank - 1];
  return run < left ? run : left;
}

/* Element steps within a run. */
static inline size_t ternc_nd_step(const ternc_nd *nd, uint32_t tensor) {
  return (size_t)nd->stride[tensor][nd->rank - 1];
}

/* Moves on by a run that ternc_nd_run allowed. */
static inline void ternc_nd_next(ternc_nd *nd, uint32_t run) {
  uint32_t i = nd->rank - 1;
  nd->index[i] += run;
  nd->at[0] += run * (size_t)nd->stride[0][i];
  nd->at[1] += run * (size_t)nd->stride[1][i];
  while (nd->index[i] == nd->dim[i] && i > 0) {
    nd->at[0] -= nd->dim[i] * (size_t)nd->stride[0][i];
    nd->at[1] -= nd->dim[i] * (size_t)nd->stride[1][i];
    nd->index[i--] = 0;
    nd->index[i]++;
    nd->at[0] += (size_t)nd->stride[0][i];
    nd->at[1] += (size_t)nd->stride[1][i];
  }
}

#endif

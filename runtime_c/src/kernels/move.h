/* Moving elements of 1, 2 or 4 bytes whatever their type (internal to the kernels). */
#ifndef TERNC_MOVE_H
#define TERNC_MOVE_H

#include "../ternc_arith.h"

#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *, const void *, size_t); /* <string.h> is not a freestanding header */
void *memset(void *, int, size_t);
#ifdef __cplusplus
}
#endif

/* Elements by size; they may hold any type, which a compiler that looks at types must know. */
#if defined(__GNUC__) || defined(__clang__)
typedef uint16_t __attribute__((may_alias)) ternc_move2;
typedef uint32_t __attribute__((may_alias)) ternc_move4;
#else
typedef uint16_t ternc_move2;
typedef uint32_t ternc_move4;
#endif

/* True when two tensors share memory. */
static inline int ternc_overlap(const ternc_op *op, uint32_t a, uint32_t b) {
  const ternc_tensor_record *p = ternc_record(op, a), *q = ternc_record(op, b);
  return p->region == q->region && p->offset < (uint64_t)q->offset + q->size &&
         q->offset < (uint64_t)p->offset + p->size;
}

/* y[at_y + k*step_y] = x[at_x + k*step_x] for k < count, in elements; places in front of y and x
 * are negative numbers, which size_t counts modulo its range. */
static inline void ternc_copy_strided(void *y, size_t at_y, size_t step_y, const void *x,
                                      size_t at_x, size_t step_x, uint32_t count, uint32_t size) {
  if (size == 1) {
    for (; count > 0; count--, at_y += step_y, at_x += step_x) {
      ((uint8_t *)y)[(ptrdiff_t)at_y] = ((const uint8_t *)x)[(ptrdiff_t)at_x];
    }
  } else if (size == 2) {
    for (; count > 0; count--, at_y += step_y, at_x += step_x) {
      ((ternc_move2 *)y)[(ptrdiff_t)at_y] = ((const ternc_move2 *)x)[(ptrdiff_t)at_x];
    }
  } else {
    for (; count > 0; count--, at_y += step_y, at_x += step_x) {
      ((ternc_move4 *)y)[(ptrdiff_t)at_y] = ((const ternc_move4 *)x)[(ptrdiff_t)at_x];
    }
  }
}

#endif

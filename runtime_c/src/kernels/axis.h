/* Tensors seen as [outer][axis][inner] (internal to the kernels). */
#ifndef TERNC_AXIS_H
#define TERNC_AXIS_H

#include "../ternc_arith.h"

/* Number of elements, or the largest number when that does not fit. */
static inline uint64_t ternc_mul3(uint32_t outer, uint32_t axis, uint32_t inner) {
  return ternc_mul_sat(ternc_mul_sat(outer, axis), inner);
}

/* First element of vector number `row` along the axis. */
static inline size_t ternc_row_at(uint32_t row, uint32_t axis, uint32_t inner) {
  return (size_t)(row / inner) * axis * inner + row % inner;
}

/* The axis index of elements, one after the other from element `begin`. */
typedef struct {
  uint32_t channel, left; /* left: elements until the channel changes */
} ternc_channel;

static inline ternc_channel ternc_channel_at(uint32_t begin, uint32_t channels, uint32_t inner) {
  ternc_channel at;
  at.channel = begin / inner % channels;
  at.left = inner - begin % inner;
  return at;
}

static inline void ternc_channel_next(ternc_channel *at, uint32_t channels, uint32_t inner) {
  if (--at->left != 0) return;
  at->left = inner;
  if (++at->channel == channels) at->channel = 0;
}

#endif

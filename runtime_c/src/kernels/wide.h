/* What the int16 kernels share (internal). Activations are int16 with zero point 0; an output that
 * int8 layers read is int8, with the zero point in the requantization's constants. */
#ifndef TERNC_WIDE_H
#define TERNC_WIDE_H

#include "../ternc_arith.h"

static inline int ternc_is_narrow(const ternc_op *op, uint32_t tensor) {
  return ternc_record(op, tensor)->dtype == TERNC_I8;
}

/* True when the output holds `count` elements and every number of lo..hi. */
static inline int ternc_wide_fits(const ternc_op *op, uint32_t y, uint64_t count, int32_t lo,
                                  int32_t hi) {
  const int narrow = ternc_is_narrow(op, y);
  const int32_t edge = narrow ? 128 : 32768;
  return !ternc_expect(op, y, narrow ? TERNC_I8 : TERNC_I16, count) && -edge <= lo && lo <= hi &&
         hi < edge;
}

static inline void ternc_put(void *y, size_t at, int narrow, int32_t value) {
  if (narrow) {
    ((int8_t *)y)[at] = (int8_t)value;
  } else {
    ((int16_t *)y)[at] = (int16_t)value;
  }
}

/* ternc_requant of a wider accumulator: the compiler proves |acc*m| < 2^62, a hostile blob only
 * wraps. */
static inline int32_t ternc_requant_wide(int64_t acc, int32_t m, int32_t c, uint32_t shift,
                                         int32_t lo, int32_t hi) {
  const uint64_t scaled =
      (uint64_t)acc * (uint64_t)(int64_t)m + (uint64_t)((int64_t)c * 65536);
  return ternc_clamp64((int64_t)scaled >> (16 + shift), lo, hi);
}

#endif

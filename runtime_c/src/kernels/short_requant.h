/* Requantization with 32 bits of constants for each output (internal): k[0], unsigned, is m, whose
 * low two bits are e besides; k[1] is c.
 *
 * y = clamp((acc*m + (c << c_shift)) >> (shift + e), lo, hi): what ternc_requant gives for
 * m << (15 - e), c << (c_shift - 1 - e) and shift - 1, wherever acc*m + (c << c_shift) fits 32
 * bits, which the compiler proves; elsewhere it only wraps. */
#ifndef TERNC_SHORT_REQUANT_H
#define TERNC_SHORT_REQUANT_H

#include "fast.h"

/* 1 when the requantization below may be called with these: 1 <= shift <= 28, and c_shift is
 * between 4 and 16, so that the long constants above are integers of 32 bits. */
static inline int ternc_is_short_requant(uint32_t c_shift, uint32_t shift, int32_t lo, int32_t hi) {
  return shift - 1u < 28u && c_shift - 4u <= 12u && ternc_is_i8_range(lo, hi);
}

TERNC_INLINE int32_t ternc_short_requant(uint32_t acc, const int16_t *k, uint32_t c_shift,
                                         uint32_t shift, int32_t lo, int32_t hi) {
  const uint32_t m = *(const uint16_t *)k; /* so that it is one load */
  const int32_t y = (int32_t)(acc * m + ((uint32_t)(int32_t)k[1] << c_shift));
  return ternc_clamp_rare(y >> shift >> (m & 3u), lo, hi);
}

#endif

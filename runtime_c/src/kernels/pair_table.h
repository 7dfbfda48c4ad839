/* Tables of the sums that four activations can make with ternary weights (internal).
 *
 * A table has 41 words: word 0 for the all-zero pattern, word h for pattern h, whose sum e is kept
 * beside its negation, (bias + e) | (bias - e) << 16. A weight byte 4*h + 2*(1 when negated) is thus
 * the byte offset of a half word. Patterns are numbered in the order of ternc_pair_build: H1 = {x0},
 * H(k+1) = {Hk, Hk + xk, Hk - xk, xk}. |e| < bias <= 32768. */
#ifndef TERNC_PAIR_TABLE_H
#define TERNC_PAIR_TABLE_H

#include "fast.h"

enum { TERNC_PAIR_WORDS = 41, TERNC_PAIR_BYTES = 4 * TERNC_PAIR_WORDS };

/* Whether every byte is an offset into a table. */
static inline int ternc_pair_codes(const uint8_t *w, uint64_t count) {
  uint64_t i;
  for (i = 0; i < count; i++) {
    if (w[i] >= TERNC_PAIR_BYTES || (w[i] & 1) != 0) return 0;
  }
  return 1;
}

/* The entry that code w[k] selects from the table at `table` bytes from t. */
#define TERNC_PAIR_ENTRY(t, w, k, table) \
  (*(const ternc_half *)(const void *)((t) + (w)[k] + (table)))

/* One table. A sum e is the word e * (1 - 65536), so that entries follow from others by an add. */
TERNC_IN_ORDER static void ternc_pair_build(uint32_t *t, uint32_t bias, int32_t x0, int32_t x1,
                                            int32_t x2, int32_t x3) {
  const uint32_t one = 0u - 65535u, zero = bias * 65537u;
  const uint32_t p0 = (uint32_t)x0 * one, p1 = (uint32_t)x1 * one, p2 = (uint32_t)x2 * one;
  const uint32_t p3 = (uint32_t)x3 * one;
  uint32_t e;
#define ENTRY(h, value) \
  e = (value);          \
  t[1 + (h)] = e;       \
  t[14 + (h)] = e + p3; \
  t[27 + (h)] = e - p3;
#define FOUR(h, value)           \
  {                              \
    const uint32_t v = (value);  \
    ENTRY(h, v)                  \
    ENTRY((h) + 4, v + p2)       \
    ENTRY((h) + 8, v - p2)       \
  }
  t[0] = zero;
  FOUR(0, zero + p0)
  FOUR(1, zero + p0 + p1)
  FOUR(2, zero + p0 - p1)
  FOUR(3, zero + p1)
  ENTRY(12, zero + p2)
  t[40] = zero + p3;
#undef FOUR
#undef ENTRY
}

#endif

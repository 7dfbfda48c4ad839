/* Tables of the sums of five activations, and tiles of eight of them for dense layers (internal).
 *
 * As pair_table.h and pair_tile.h, with tables of 122 words: the byte 2*h + (1 when negated) is the
 * number of a half word. */
#ifndef TERNC_FIVE_TILE_H
#define TERNC_FIVE_TILE_H

#include "fast.h"

enum {
  TERNC_FIVE_WORDS = 122,
  TERNC_FIVE_BYTES = 4 * TERNC_FIVE_WORDS,
  TERNC_FIVE_BIAS = 1024,
  TERNC_FIVE_TABLES = 8
};

/* Whether every byte is the number of a half word. */
static inline int ternc_five_codes(const uint8_t *w, uint64_t count) {
  uint64_t i;
  for (i = 0; i < count; i++) {
    if (w[i] >= 2 * TERNC_FIVE_WORDS) return 0;
  }
  return 1;
}

/* One table, as ternc_pair_build (pair_table.h). */
TERNC_IN_ORDER static void ternc_five_build(uint32_t *t, int32_t x0, int32_t x1, int32_t x2,
                                            int32_t x3, int32_t x4) {
  const uint32_t one = 0u - 65535u, zero = TERNC_FIVE_BIAS * 65537u;
  const uint32_t p0 = (uint32_t)x0 * one, p1 = (uint32_t)x1 * one, p2 = (uint32_t)x2 * one;
  const uint32_t p3 = (uint32_t)x3 * one, p4 = (uint32_t)x4 * one;
  uint32_t e;
#define ENTRY(h, value) \
  e = (value);          \
  t[1 + (h)] = e;       \
  t[41 + (h)] = e + p4; \
  t[81 + (h)] = e - p4;
#define THREE(h, value)          \
  {                              \
    const uint32_t u = (value);  \
    ENTRY(h, u)                  \
    ENTRY((h) + 13, u + p3)      \
    ENTRY((h) + 26, u - p3)      \
  }
#define NINE(h, value)           \
  {                              \
    const uint32_t v = (value);  \
    THREE(h, v)                  \
    THREE((h) + 4, v + p2)       \
    THREE((h) + 8, v - p2)       \
  }
  t[0] = zero;
  NINE(0, zero + p0)
  NINE(1, zero + p0 + p1)
  NINE(2, zero + p0 - p1)
  NINE(3, zero + p1)
  THREE(12, zero + p2)
  ENTRY(39, zero + p3)
  t[121] = zero + p4;
#undef NINE
#undef THREE
#undef ENTRY
}

static void ternc_five_tile(uint32_t *t, const int8_t *x, uint32_t left) {
  uint32_t i;
  for (i = 0; i < TERNC_FIVE_TABLES; i++, t += TERNC_FIVE_WORDS) {
    if (left >= 5) {
      ternc_five_build(t, x[0], x[1], x[2], x[3], x[4]);
      x += 5;
      left -= 5;
    } else { /* the inputs end here: the rest are zeros */
      ternc_five_build(t, left > 0 ? x[0] : 0, left > 1 ? x[1] : 0, left > 2 ? x[2] : 0,
                       left > 3 ? x[3] : 0, 0);
      left = 0;
    }
  }
}

/* Loads of RISC-V reach all tables from the middle, those of Xtensa two (pair_tile.h). */
#if defined(__XTENSA__)
#define TERNC_FIVE_AT(k) ((k) % 2 * TERNC_FIVE_BYTES)
#define TERNC_FIVE_NEXT       \
  at += 2 * TERNC_FIVE_BYTES; \
  TERNC_OPAQUE(at);
#else
#define TERNC_FIVE_AT(k) (((k) - 4) * TERNC_FIVE_BYTES)
#define TERNC_FIVE_NEXT
#endif

/* Adds one tile to every sum; the first tile starts from `start`. */
TERNC_INLINE const uint8_t *ternc_five_add(const uint32_t *t, const uint8_t *w, uint32_t *sums,
                                           uint32_t count, int first, uint32_t start) {
  const uint8_t *from = (const uint8_t *)t - TERNC_FIVE_AT(0);
  const uint32_t *const end = sums + count;
  TERNC_OPAQUE(from);
  for (; sums != end; sums++, w += TERNC_FIVE_TABLES) {
    const uint8_t *at = from;
    uint32_t sum = first ? start : *sums;
#define LOOK(k)                                                            \
  {                                                                        \
    const ternc_half *entry = (const ternc_half *)(const void *)at + w[k]; \
    TERNC_OPAQUE(entry);                                                   \
    sum += entry[TERNC_FIVE_AT(k) / 2];                                    \
  }
    LOOK(0) LOOK(1)
    TERNC_FIVE_NEXT
    LOOK(2) LOOK(3)
    TERNC_FIVE_NEXT
    LOOK(4) LOOK(5)
    TERNC_FIVE_NEXT
    LOOK(6) LOOK(7)
#undef LOOK
    *sums = sum;
  }
  return w;
}

/* As ternc_tile_sums, of eight tables at a time. */
TERNC_INLINE const uint8_t *ternc_five_sums(uint32_t *t, const int8_t *x, uint32_t n,
                                            const uint8_t *w, uint32_t *sums, uint32_t count) {
  const uint32_t width = 5 * TERNC_FIVE_TABLES, tiles = (n + width - 1) / width;
  const uint32_t start = 0u - (uint32_t)TERNC_FIVE_BIAS * TERNC_FIVE_TABLES * tiles;
  uint32_t i;
  for (i = 0; i < tiles; i++) {
    ternc_five_tile(t, x + i * width, n - i * width);
    w = i > 0 ? ternc_five_add(t, w, sums, count, 0, 0)
              : ternc_five_add(t, w, sums, count, 1, start);
  }
  return w;
}

#endif

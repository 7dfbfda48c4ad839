/* Tiles of pair tables for dense layers: built for `block` groups of four activations, then added
 * up for the outputs of a slab (internal). A code of `w` is a byte of pair_table.h. */
#ifndef TERNC_PAIR_TILE_H
#define TERNC_PAIR_TILE_H

#include "pair_table.h"

enum { TERNC_TILE_BIAS = 512 };

static void ternc_tile_build(uint32_t *t, uint32_t block, const int8_t *x, uint32_t left) {
  uint32_t i;
  for (i = 0; i < block; i++, t += TERNC_PAIR_WORDS) {
    if (left >= 4) {
      ternc_pair_build(t, TERNC_TILE_BIAS, x[0], x[1], x[2], x[3]);
      x += 4;
      left -= 4;
    } else { /* the inputs end here: the rest are zeros */
      ternc_pair_build(t, TERNC_TILE_BIAS, left > 0 ? x[0] : 0, left > 1 ? x[1] : 0,
                       left > 2 ? x[2] : 0, 0);
      left = 0;
    }
  }
}

/* How far a look-up's table is from `at`. Loads of RISC-V reach 2 KB either way: every table from
 * the middle. Those of Xtensa reach 510 bytes: four tables. */
#if defined(__XTENSA__)
#define TERNC_TILE_AT(k) ((k) % 4 * TERNC_PAIR_BYTES)
#define TERNC_TILE_NEXT       \
  at += 4 * TERNC_PAIR_BYTES; \
  TERNC_OPAQUE(at);
#else
#define TERNC_TILE_AT(k) (((k) - 8) * TERNC_PAIR_BYTES)
#define TERNC_TILE_NEXT
#endif

/* Adds one tile to every sum; the first tile starts from `start`. */
TERNC_INLINE const uint8_t *ternc_tile_add(const uint32_t *t, const uint8_t *w, uint32_t *sums,
                                           uint32_t count, uint32_t block, int first,
                                           uint32_t start) {
  const uint8_t *from = (const uint8_t *)t - TERNC_TILE_AT(0);
  const uint32_t *const end = sums + count;
  TERNC_OPAQUE(from);
  for (; sums != end; sums++, w += block) {
    const uint8_t *at = from;
    uint32_t sum = first ? start : *sums;
#define LOOK(k) sum += TERNC_PAIR_ENTRY(at, w, k, TERNC_TILE_AT(k));
    LOOK(0) LOOK(1) LOOK(2) LOOK(3)
    if (block >= 8) {
      TERNC_TILE_NEXT
      LOOK(4) LOOK(5) LOOK(6) LOOK(7)
    }
    if (block == 16) {
      TERNC_TILE_NEXT
      LOOK(8) LOOK(9) LOOK(10) LOOK(11)
      TERNC_TILE_NEXT
      LOOK(12) LOOK(13) LOOK(14) LOOK(15)
    }
#undef LOOK
    *sums = sum;
  }
  return w;
}

/* The sums of `count` outputs over a row of `n` activations, whose weights begin at w; where those
 * of the next outputs do. */
TERNC_INLINE const uint8_t *ternc_tile_sums(uint32_t *t, uint32_t block, const int8_t *x, uint32_t n,
                                            const uint8_t *w, uint32_t *sums, uint32_t count) {
  const uint32_t width = 4 * block, tiles = (n + width - 1) / width;
  const uint32_t start = 0u - TERNC_TILE_BIAS * block * tiles;
  uint32_t i;
  for (i = 0; i < tiles; i++) {
    ternc_tile_build(t, block, x + i * width, n - i * width);
    if (block == 16 && i > 0) w = ternc_tile_add(t, w, sums, count, 16, 0, 0);
    else if (block == 16) w = ternc_tile_add(t, w, sums, count, 16, 1, start);
    else if (block == 8) w = ternc_tile_add(t, w, sums, count, 8, i == 0, start);
    else w = ternc_tile_add(t, w, sums, count, 4, i == 0, start);
  }
  return w;
}

#endif

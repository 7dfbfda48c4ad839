/* From lane sums, a row of TERNC_LANE_PITCH words for each output channel, to bytes (internal). */
#ifndef TERNC_LANE_STORE_H
#define TERNC_LANE_STORE_H

#include "fast.h"

#define TERNC_LANE_PITCH 16u

typedef struct {
  const int32_t *m, *c; /* of the first channel */
  uint32_t shift;
  int32_t lo, hi;
  size_t step; /* from one column's outputs to the next's; those of a column follow each other */
  const ternc_residual *add; /* NULL: none; else the element for the output at y + i is r + i */
  const int8_t *r, *y;
} ternc_lane_requant;

/* Lane 1 first, because it goes to lane 0's place where it has no output. */
#define LANE_CONSTANTS(k)     \
  const int32_t m##k = r->m[o + k]; \
  const uint32_t c##k = ternc_lane_c(m##k, r->c[o + k]);
#define LANE_BOTH(k)                                                            \
  y1[k] = (int8_t)ternc_requant_lane(both##k & top, m##k, c##k, shift, lo, hi); \
  y0[k] = (int8_t)ternc_requant_lane(both##k << 16, m##k, c##k, shift, lo, hi);

static TERNC_NOINLINE void ternc_lane_store_1(const ternc_lane_requant *r, uint32_t o,
                                              const uint32_t *sums, uint32_t count, int8_t *y0,
                                              int8_t *y1) {
  const uint32_t shift = r->shift, top = 0xffff0000u, *const end = sums + count;
  const int32_t lo = r->lo, hi = r->hi;
  const size_t step = r->step;
  LANE_CONSTANTS(0)
  for (; sums != end; sums++, y0 += step, y1 += step) {
    const uint32_t both0 = *sums;
    LANE_BOTH(0)
  }
}

/* Four channels together: all constants in registers, an address for four outputs. */
static TERNC_NOINLINE void ternc_lane_store_4(const ternc_lane_requant *r, uint32_t o,
                                              const uint32_t *sums, uint32_t count, int8_t *y0,
                                              int8_t *y1) {
  const uint32_t shift = r->shift, top = 0xffff0000u, *const end = sums + count;
  const int32_t lo = r->lo, hi = r->hi;
  const size_t step = r->step;
  LANE_CONSTANTS(0)
  LANE_CONSTANTS(1)
  LANE_CONSTANTS(2)
  LANE_CONSTANTS(3)
  for (; sums != end; sums++, y0 += step, y1 += step) {
    const uint32_t both0 = sums[0], both1 = sums[TERNC_LANE_PITCH];
    const uint32_t both2 = sums[2 * TERNC_LANE_PITCH], both3 = sums[3 * TERNC_LANE_PITCH];
    LANE_BOTH(0)
    LANE_BOTH(1)
    LANE_BOTH(2)
    LANE_BOTH(3)
  }
}

#ifndef TERNC_NO_RESIDUAL
/* One channel with a residual, which may be where the results go: read before they are written. */
static TERNC_NOINLINE void ternc_lane_store_sum(const ternc_lane_requant *r, uint32_t o,
                                                const uint32_t *sums, uint32_t count, int8_t *y0,
                                                int8_t *y1) {
  const ternc_residual add = *r->add;
  const uint32_t shift = r->shift, top = 0xffff0000u, *const end = sums + count;
  const int32_t lo = r->lo, hi = r->hi;
  const int8_t *r0 = r->r + (y0 - r->y), *r1 = r->r + (y1 - r->y);
  const size_t step = r->step;
  LANE_CONSTANTS(0)
  for (; sums != end; sums++, y0 += step, y1 += step, r0 += step, r1 += step) {
    const uint32_t both = *sums;
    const int32_t element0 = *r0, element1 = *r1;
    *y1 = ternc_residual_sum(&add, ternc_requant_lane(both & top, m0, c0, shift, lo, hi), element1);
    *y0 = ternc_residual_sum(&add, ternc_requant_lane(both << 16, m0, c0, shift, lo, hi), element0);
  }
}

#endif

#undef LANE_CONSTANTS
#undef LANE_BOTH

/* The outputs of `channels` channels from `o` on at `count` columns of both lanes; y0, y1: channel
 * o's. Where there is no lane 1, y1 is y0. */
static inline void ternc_lane_store(const ternc_lane_requant *r, uint32_t o, uint32_t channels,
                                    const uint32_t *sums, uint32_t count, int8_t *y0, int8_t *y1) {
  const uint32_t end = o + channels;
  while (o != end) {
    uint32_t done = 1;
#ifndef TERNC_NO_RESIDUAL
    if (r->add != NULL) {
      ternc_lane_store_sum(r, o, sums, count, y0, y1);
    } else
#endif
    if (end - o < 4) {
      ternc_lane_store_1(r, o, sums, count, y0, y1);
    } else {
      ternc_lane_store_4(r, o, sums, count, y0, y1);
      done = 4;
    }
    o += done;
    sums += done * TERNC_LANE_PITCH;
    y0 += done;
    y1 += done;
  }
}

#endif

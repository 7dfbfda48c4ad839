/* Building the tables of conv2d_i8_t2_lut (internal). */
#ifndef TERNC_LUT_TABLES_H
#define TERNC_LUT_TABLES_H

#include "fast.h"
#include "lut_rows.h"

/* The tables of one column; p and q are its pixels in lane 0 and 1. Entries in the order of
 * H1 = {x0}, H(k+1) = {Hk, Hk + xk, Hk - xk, xk}. */
#define LUT_LANES(k) (uint32_t)(p[k] + q[k] * 65536)
#define LUT_ENTRY(h, value)       \
  e = (value);                    \
  t[(h) * apart] = e;             \
  t[(13 + (h)) * apart] = e + x3; \
  t[(26 + (h)) * apart] = e - x3;
#define LUT_THREE(FN)   \
  FN(0, x0)             \
  v = x0 + x1;          \
  FN(1, v)              \
  FN(5, v + x2)         \
  FN(9, v - x2)         \
  v = x0 - x1;          \
  FN(2, v)              \
  FN(6, v + x2)         \
  FN(10, v - x2)        \
  FN(3, x1)             \
  FN(7, x1 + x2)        \
  FN(11, x1 - x2)       \
  FN(4, x0 + x2)        \
  FN(8, x0 - x2)        \
  FN(12, x2)
#define LUT_STORE(h, value) t[(h) * apart] = (value);

/* `groups` tables of one pixel, `step` words apart. */
TERNC_IN_ORDER static void ternc_lut_build4(uint32_t *t, size_t step, const int8_t *p,
                                            const int8_t *q, uint32_t groups) {
  const size_t apart = ternc_lut_apart(step, 40);
  for (; groups > 0; groups--, t += step, p += 4, q += 4) {
    const uint32_t x0 = LUT_LANES(0), x1 = LUT_LANES(1), x2 = LUT_LANES(2), x3 = LUT_LANES(3);
    uint32_t e, v;
    LUT_THREE(LUT_ENTRY)
    t[39 * apart] = x3;
  }
}

TERNC_IN_ORDER static void ternc_lut_build3(uint32_t *t, size_t step, const int8_t *p,
                                            const int8_t *q, uint32_t groups) {
  const size_t apart = ternc_lut_apart(step, 13);
  for (; groups > 0; groups--, t += step, p += 3, q += 3) {
    const uint32_t x0 = LUT_LANES(0), x1 = LUT_LANES(1), x2 = LUT_LANES(2);
    uint32_t v;
    LUT_THREE(LUT_STORE)
  }
}

#undef LUT_LANES
#undef LUT_ENTRY
#undef LUT_THREE
#undef LUT_STORE

#endif

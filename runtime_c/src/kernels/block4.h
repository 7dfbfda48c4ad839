/* Dot products of one or two rows of int8 activations with four rows of int8 weights (internal).
 * Weights are [ceil(outputs / 4)][n][4], the missing ones of the last block zeros: a block's
 * weights follow each other, so one pointer and constant offsets reach them. Sums wrap modulo
 * 2^32; the compiler proves that they fit. */
#ifndef TERNC_BLOCK4_H
#define TERNC_BLOCK4_H

#include "dot_simd.h"
#include "fast.h"

typedef struct {
  const int32_t *m, *c;
  uint32_t outputs, shift;
  int32_t lo, hi;
  /* A residual, whose element for the output at y + i is r + i. NULL: none. */
  const ternc_residual *add;
  const int8_t *r, *y;
} ternc_block4;

#ifndef TERNC_NO_RESIDUAL
/* Requantizes one sum and adds the residual at r, which may be where the result goes. */
TERNC_INLINE int8_t ternc_block4_sum(const ternc_block4 *k, const ternc_residual *add,
                                     uint32_t acc, int32_t m, int32_t c, const int8_t *r) {
  return ternc_residual_sum(add, ternc_requant32(acc, m, c, k->shift, k->lo, k->hi), *r);
}

static TERNC_NOINLINE void ternc_block4_store_sums(const ternc_block4 *k, const int32_t *m,
                                                   const int32_t *c, uint32_t count,
                                                   const uint32_t *sums, int8_t *y, int8_t *y_2) {
  const int32_t *const end = m + count;
  const ternc_residual add = *k->add;
  const int8_t *r = k->r + (y - k->y), *r_2 = y_2 != NULL ? k->r + (y_2 - k->y) : NULL;
  for (; m != end; m++, c++) {
    const int8_t first = ternc_block4_sum(k, &add, *sums++, *m, *c, r++);
    if (y_2 != NULL) *y_2++ = ternc_block4_sum(k, &add, *sums++, *m, *c, r_2++);
    *y++ = first; /* after the other, which may be the same output and read what is here */
  }
}

#endif

/* Requantizes a block's outputs of one row, or of two, whose sums are in turn; `count` are there. */
TERNC_INLINE void ternc_block4_store(const ternc_block4 *k, const int32_t *m, const int32_t *c,
                                     uint32_t count, const uint32_t *sums, int8_t *y, int8_t *y_2) {
  const uint32_t shift = k->shift;
  const int32_t lo = k->lo, hi = k->hi, *const end = m + count;
#ifndef TERNC_NO_RESIDUAL
  if (TERNC_RARE(k->add != NULL)) {
    ternc_block4_store_sums(k, m, c, count, sums, y, y_2);
    return;
  }
#endif
  for (; m != end; m++, c++) {
    const int32_t m_o = *m, c_o = *c;
    *y++ = (int8_t)ternc_requant32(*sums++, m_o, c_o, shift, lo, hi);
    if (y_2 != NULL) *y_2++ = (int8_t)ternc_requant32(*sums++, m_o, c_o, shift, lo, hi);
  }
}

#define TERNC_STEP_1(i)                             \
  {                                                 \
    const int32_t v = x[i];                         \
    s0 += (uint32_t)(v * w[4 * (i)]);               \
    s1 += (uint32_t)(v * w[4 * (i) + 1]);           \
    s2 += (uint32_t)(v * w[4 * (i) + 2]);           \
    s3 += (uint32_t)(v * w[4 * (i) + 3]);           \
  }
#define TERNC_STEP_2(i)                                                                   \
  {                                                                                       \
    const int32_t v = x[i], u = z[i], w0 = w[4 * (i)], w1 = w[4 * (i) + 1];               \
    const int32_t w2 = w[4 * (i) + 2], w3 = w[4 * (i) + 3];                               \
    s0 += (uint32_t)(v * w0);                                                             \
    t0 += (uint32_t)(u * w0);                                                             \
    s1 += (uint32_t)(v * w1);                                                             \
    t1 += (uint32_t)(u * w1);                                                             \
    s2 += (uint32_t)(v * w2);                                                             \
    t2 += (uint32_t)(u * w2);                                                             \
    s3 += (uint32_t)(v * w3);                                                             \
    t3 += (uint32_t)(u * w3);                                                             \
  }

/* All outputs of one row. */
TERNC_IN_ORDER static TERNC_UNUSED TERNC_NOINLINE void ternc_block4_one(
    const ternc_block4 *k, const int8_t *row, uint32_t n, const int8_t *w, int8_t *y) {
  uint32_t o;
  for (o = 0; o < k->outputs; o += 4) {
    const uint32_t count = k->outputs - o < 4 ? k->outputs - o : 4;
    const int8_t *x = row, *const end = row + (n & ~7u);
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, sums[4];
#ifdef TERNC_DOT_SIMD
    const size_t taken = ternc_simd_four(x, NULL, w, n, sums);
    if (taken != 0) s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    x += taken;
    w += 4 * taken;
#endif
    for (; x != end; x += 8, w += 32) {
      TERNC_STEP_1(0) TERNC_STEP_1(1) TERNC_STEP_1(2) TERNC_STEP_1(3)
      TERNC_STEP_1(4) TERNC_STEP_1(5) TERNC_STEP_1(6) TERNC_STEP_1(7)
    }
    for (; x != row + n; x++, w += 4) TERNC_STEP_1(0)
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    ternc_block4_store(k, k->m + o, k->c + o, count, sums, y + o, NULL);
  }
}

/* All outputs of two rows, which may be the same. */
TERNC_IN_ORDER static TERNC_NOINLINE void ternc_block4_two(const ternc_block4 *k, const int8_t *row,
                                                           const int8_t *row_2, uint32_t n,
                                                           const int8_t *w, int8_t *y,
                                                           int8_t *y_2) {
  uint32_t o;
  for (o = 0; o < k->outputs; o += 4) {
    const uint32_t count = k->outputs - o < 4 ? k->outputs - o : 4;
    const int8_t *x = row, *z = row_2, *const end = row + (n & ~3u);
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0, sums[8];
#ifdef TERNC_DOT_SIMD
    const size_t taken = ternc_simd_four(x, z, w, n, sums);
    if (taken != 0) {
      s0 = sums[0], s1 = sums[2], s2 = sums[4], s3 = sums[6];
      t0 = sums[1], t1 = sums[3], t2 = sums[5], t3 = sums[7];
    }
    x += taken;
    z += taken;
    w += 4 * taken;
#endif
    for (; x != end; x += 4, z += 4, w += 16) {
      TERNC_STEP_2(0) TERNC_STEP_2(1) TERNC_STEP_2(2) TERNC_STEP_2(3)
    }
    for (; x != row + n; x++, z++, w += 4) TERNC_STEP_2(0)
    sums[0] = s0;
    sums[1] = t0;
    sums[2] = s1;
    sums[3] = t1;
    sums[4] = s2;
    sums[5] = t2;
    sums[6] = s3;
    sums[7] = t3;
    ternc_block4_store(k, k->m + o, k->c + o, count, sums, y + o, y_2 + o);
  }
}

#undef TERNC_STEP_1
#undef TERNC_STEP_2

#endif

/* Convolution 3x3 of stride 1, int8, by Winograd's minimal filtering F(2x2, 3x3): 16 products make
 * four outputs, where the sums themselves take 36. Exact: all in integers, the weights four times
 * G w G^T (w: [out/4][16][in][4], the missing ones of the last block zeros), so that the sums come
 * out four times too large (S. Winograd 1980; A. Lavin and S. Gray, arXiv:1509.09308).
 *
 * Two tiles beside each other at a time, four outputs: 8 sums share the loads. */
#include "conv2d_taps.h"
#include "fast.h"

typedef ternc_conv2d_i8_tiles_args tile_args;

enum { PRODUCTS = 16, BLOCK = 4, TILES = 2, EDGE = 4, WIDTH = 4, PATCH = 6, SUMS = 8 };

/* Columns of a padded row: two more than outputs, which are in fours. */
static uint32_t padded(const tile_args *a) { return ((a->out_w + 3) & ~3u) + 2; }

/* Scratch: sums, transformed inputs of two tiles (half words), four padded rows of the input. */
static uint64_t scratch_words(const tile_args *a) {
  const uint64_t rows = (uint64_t)EDGE * padded(a) * a->in_c;
  return PRODUCTS * SUMS + (uint64_t)PRODUCTS * a->in_c + (rows + 3) / 4;
}

TERNC_COLD static ternc_status check_conv2d_i8_tiles(const ternc_op *op) {
  const tile_args *a = (const tile_args *)op->args;
  /* 4 * 9 * 1024 * 128 * 128 fits 32 bits. */
  if (ternc_conv_check(op, a->x_zero, TERNC_REQUANT_OF(a), TERNC_RESIDUAL_OF(a)) || a->in_c > 1024 ||
      a->out_w > 1u << 16 || a->kernel_h != 3 || a->kernel_w != 3 || a->stride_h != 1 ||
      a->stride_w != 1 || a->dilation_h != 1 || a->dilation_w != 1 ||
      ternc_expect(op, a->w, TERNC_I16,
                   (uint64_t)((a->out_c + 3) & ~3u) * PRODUCTS * a->in_c) ||
      ternc_expect(op, a->scratch, TERNC_I32, scratch_words(a))) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* Input row `row` from column -pad_left on, what lies outside of the image as zero points. */
static TERNC_NOINLINE void pad_row(const tile_args *a, const int8_t *x, uint32_t row, int8_t *to) {
  const int32_t columns = (int32_t)padded(a), in_w = (int32_t)a->in_w, zero = a->x_zero;
  const int32_t left = a->pad_left < columns ? a->pad_left : columns;
  const int32_t first = left < 0 ? -left : 0, before = left < 0 ? 0 : left;
  int32_t inside = row < a->in_h && first < in_w ? in_w - first : 0;
  int8_t *const end = to + (size_t)columns * a->in_c, *stop = to + (size_t)before * a->in_c;
  const int8_t *from = x + ((size_t)row * a->in_w + (size_t)first) * a->in_c;
  if (inside > columns - before) inside = columns - before;
  while (to != stop) *to++ = (int8_t)zero;
  for (stop += (size_t)inside * a->in_c; to != stop;) *to++ = *from++;
  while (to != end) *to++ = (int8_t)zero;
}

/* B^T d B of the two tiles whose patch begins `at` bytes behind the starts of four rows, for each
 * channel: v [16][in][2]. */
static TERNC_NOINLINE void transform(int8_t *const rows[EDGE], size_t at, uint32_t in_c,
                                     int16_t *v) {
  const size_t last = at + in_c, step = TILES * in_c;
  for (; at != last; at++, v += TILES) {
    int32_t b[EDGE][PATCH];
    const int8_t *p0 = rows[0] + at, *p1 = rows[1] + at, *p2 = rows[2] + at, *p3 = rows[3] + at;
    int16_t *to = v;
    uint32_t i;
    for (i = 0; i < PATCH; i++) {
      const int32_t d0 = *p0, d1 = *p1, d2 = *p2, d3 = *p3;
      p0 += in_c;
      p1 += in_c;
      p2 += in_c;
      p3 += in_c;
      b[0][i] = d0 - d2;
      b[1][i] = d1 + d2;
      b[2][i] = d2 - d1;
      b[3][i] = d1 - d3;
    }
    for (i = 0; i < EDGE; i++) {
      const int32_t *r = b[i];
      const int32_t r2 = r[2], r3 = r[3];
      to[0] = (int16_t)(r[0] - r2);
      to[1] = (int16_t)(r2 - r[4]);
      to += step;
      to[0] = (int16_t)(r[1] + r2);
      to[1] = (int16_t)(r3 + r[4]);
      to += step;
      to[0] = (int16_t)(r2 - r[1]);
      to[1] = (int16_t)(r[4] - r3);
      to += step;
      to[0] = (int16_t)(r[1] - r3);
      to[1] = (int16_t)(r3 - r[5]);
      to += step;
    }
  }
}

/* The products of two tiles with four outputs, summed over the channels: sums [16][4][2]. */
TERNC_IN_ORDER static TERNC_NOINLINE const int16_t *multiply(const int16_t *v, const int16_t *u,
                                                             uint32_t in_c, uint32_t *sums) {
  const uint32_t *const last = sums + PRODUCTS * SUMS;
  const size_t step = TILES * in_c;
  while (sums != last) {
    const int16_t *const end = v + step;
    int32_t a = v[0], b = v[1], w0 = u[0], w1 = u[1], w2 = u[2], w3 = u[3];
    uint32_t s0 = (uint32_t)(a * w0), s1 = (uint32_t)(a * w1), s2 = (uint32_t)(a * w2);
    uint32_t s3 = (uint32_t)(a * w3), t0 = (uint32_t)(b * w0), t1 = (uint32_t)(b * w1);
    uint32_t t2 = (uint32_t)(b * w2), t3 = (uint32_t)(b * w3);
    for (v += TILES, u += BLOCK; v != end; v += TILES, u += BLOCK) {
      a = v[0];
      b = v[1];
      w0 = u[0];
      w1 = u[1];
      w2 = u[2];
      w3 = u[3];
      s0 += (uint32_t)(a * w0);
      t0 += (uint32_t)(b * w0);
      s1 += (uint32_t)(a * w1);
      t1 += (uint32_t)(b * w1);
      s2 += (uint32_t)(a * w2);
      t2 += (uint32_t)(b * w2);
      s3 += (uint32_t)(a * w3);
      t3 += (uint32_t)(b * w3);
    }
    sums[0] = s0;
    sums[1] = t0;
    sums[2] = s1;
    sums[3] = t1;
    sums[4] = s2;
    sums[5] = t2;
    sums[6] = s3;
    sums[7] = t3;
    sums += SUMS;
  }
  return u;
}

/* Which of a tile's four outputs are in the image, from the lowest bit; of both tiles. And the
 * element of a residual for the output at y + i: r + i. */
typedef struct {
  uint32_t there[TILES];
  const ternc_residual *add; /* NULL: none */
  const int8_t *r, *y;
} tile_place;

/* A quarter of a sum, requantized. */
TERNC_INLINE int32_t quarter(uint32_t sum, int32_t m, int32_t c, uint32_t shift, int32_t lo,
                             int32_t hi) {
  const int64_t product = (int64_t)(int32_t)sum * m;
  const int32_t v = (int32_t)((uint32_t)((uint64_t)product >> 18) + (uint32_t)c);
  return ternc_clamp_rare(v >> shift, lo, hi);
}

/* Four outputs of a tile with a residual. */
static TERNC_NOINLINE void store_added(const tile_args *a, const uint32_t sums[4], int32_t m,
                                       int32_t c, int8_t *to, uint32_t there,
                                       const tile_place *at) {
  uint32_t i;
  for (i = 0; i < 4; i++) {
    int8_t *const here = to + ((i >> 1) * (size_t)a->out_w + (i & 1)) * a->out_c;
    if ((there >> i & 1) == 0) continue;
    *here = ternc_residual_sum(at->add, quarter(sums[i], m, c, a->shift, a->lo, a->hi),
                               at->r[here - at->y]);
  }
}

/* A^T s A of `count` outputs of both tiles, requantized. */
TERNC_IN_ORDER static TERNC_NOINLINE void store(const tile_args *a, const uint32_t *sums,
                                                const int32_t *m, const int32_t *c,
                                                uint32_t count, int8_t *y, const tile_place *at) {
  const uint32_t shift = a->shift, step = a->out_c;
  const int32_t lo = a->lo, hi = a->hi;
  const size_t row = (size_t)a->out_w * step;
  uint32_t tile;
#define AT(i, k) s[SUMS * (EDGE * (i) + (k))]
#define COLUMN(k)                                            \
  const uint32_t p##k = AT(0, k) + AT(1, k) + AT(2, k);      \
  const uint32_t q##k = AT(1, k) - AT(2, k) - AT(3, k);
#define STORE(bit, place, sum) \
  if ((there & (bit)) != 0) *(place) = (int8_t)quarter(sum, m_o, c_o, shift, lo, hi);
  for (tile = 0; tile < TILES; tile++, y += 2 * step) {
    const uint32_t there = at->there[tile];
    const uint32_t *s = sums + tile, *const end = s + TILES * count;
    const int32_t *m_at = m, *c_at = c;
    int8_t *to = y;
    for (; s != end && there != 0; s += TILES, to++) {
      const int32_t m_o = *m_at++, c_o = *c_at++;
      int8_t *const below = to + row;
      COLUMN(0)
      COLUMN(1)
      COLUMN(2)
      COLUMN(3)
      if (TERNC_RARE(at->add != NULL)) {
        const uint32_t four[4] = {p0 + p1 + p2, p1 - p2 - p3, q0 + q1 + q2, q1 - q2 - q3};
        store_added(a, four, m_o, c_o, to, there, at);
        continue;
      }
      STORE(1, to, p0 + p1 + p2)
      STORE(2, to + step, p1 - p2 - p3)
      STORE(4, below, q0 + q1 + q2)
      STORE(8, below + step, q1 - q2 - q3)
    }
  }
#undef AT
#undef COLUMN
#undef STORE
}

static void run_conv2d_i8_tiles(const ternc_op *op, uint32_t begin, uint32_t end) {
  const tile_args a = *(const tile_args *)op->args; /* a copy, which no store can change */
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *sums = (uint32_t *)ternc_data(op, a.scratch);
  int16_t *v = (int16_t *)(void *)(sums + PRODUCTS * SUMS);
  int8_t *rows = (int8_t *)(v + PRODUCTS * TILES * a.in_c);
  const size_t pitch = (size_t)padded(&a) * a.in_c;
  uint32_t image, row, column, o, i;
  tile_place at;
  at.add = a.r == TERNC_NONE ? NULL : TERNC_RESIDUAL_OF(&a);
  at.r = (const int8_t *)ternc_data(op, a.r);
  at.y = y;
  (void)begin; /* the scratch is one: the work does not divide */
  (void)end;
  for (image = 0; image < a.n; image++, x += (size_t)a.in_h * a.in_w * a.in_c) {
    for (row = 0; row < a.out_h; row += 2) {
      const uint32_t there = row + 1 < a.out_h ? 15 : 3;
      int8_t *ring[EDGE];
      for (i = 0; i < EDGE; i++) { /* half of the rows are there from the tiles above */
        ring[i] = rows + ((row + i) & 3u) * pitch;
        if (row == 0 || i >= 2) pad_row(&a, x, row + i - (uint32_t)a.pad_top, ring[i]);
      }
      for (column = 0; column < a.out_w; column += WIDTH) {
        const int16_t *u = (const int16_t *)ternc_data(op, a.w);
        int8_t *const to = y + (((size_t)image * a.out_h + row) * a.out_w + column) * a.out_c;
        const uint32_t left = a.out_w - column;
        at.there[0] = there & (left > 1 ? 15u : 5u);
        at.there[1] = there & (left > 3 ? 15u : left == 3 ? 5u : 0u);
        transform(ring, (size_t)column * a.in_c, a.in_c, v);
        for (o = 0; o < a.out_c; o += BLOCK) {
          const uint32_t count = a.out_c - o < BLOCK ? a.out_c - o : BLOCK;
          u = multiply(v, u, a.in_c, sums);
          store(&a, sums, m + o, c + o, count, to + o, &at);
        }
      }
    }
  }
}

TERNC_KERNEL(conv2d_i8_tiles, check_conv2d_i8_tiles, NULL, run_conv2d_i8_tiles)

/* Dense layer, ternary weights, by look-up: a byte of weights stands for five of them (1.6 bits
 * each), for layers that wait for their weights. As dense_i8_t2_lut, with tables of 122 words: the
 * byte 2*h + (1 when negated) is the number of a half word. */
#include "fast.h"

enum { WORDS_5 = 122, BYTES_5 = 4 * WORDS_5, BIAS_5 = 1024, TABLES_5 = 8 };

static ternc_status check_dense_i8_t2_lut5(const ternc_op *op) {
  const ternc_dense_i8_t2_lut5_args *args = (const ternc_dense_i8_t2_lut5_args *)op->args;
  const uint8_t *w;
  uint64_t codes, i;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->in_features) ||
      !ternc_is_dim(args->out_features) || args->slab == 0 || args->slab > args->out_features ||
      !ternc_is_requant32(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  codes = (args->in_features + 5u * TABLES_5 - 1) / (5u * TABLES_5) * (uint64_t)TABLES_5 *
          args->out_features;
  if (ternc_expect(op, args->x, TERNC_I8, (uint64_t)args->rows * args->in_features) ||
      ternc_expect(op, args->y, TERNC_I8, (uint64_t)args->rows * args->out_features) ||
      ternc_expect(op, args->m, TERNC_I32, args->out_features) ||
      ternc_expect(op, args->c, TERNC_I32, args->out_features) ||
      ternc_expect(op, args->w, TERNC_U8, codes) ||
      ternc_expect(op, args->scratch, TERNC_I32,
                   (uint64_t)WORDS_5 * TABLES_5 + args->slab)) {
    return TERNC_E_OPERAND;
  }
  w = (const uint8_t *)ternc_data(op, args->w);
  for (i = 0; i < codes; i++) { /* they address the tables */
    if (w[i] >= 2 * WORDS_5) return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* One table, as ternc_pair_build (pair_table.h). */
TERNC_IN_ORDER static void build_5(uint32_t *t, int32_t x0, int32_t x1, int32_t x2, int32_t x3,
                                   int32_t x4) {
  const uint32_t one = 0u - 65535u, zero = BIAS_5 * 65537u;
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

static void build_tile_5(uint32_t *t, const int8_t *x, uint32_t left) {
  uint32_t i;
  for (i = 0; i < TABLES_5; i++, t += WORDS_5) {
    if (left >= 5) {
      build_5(t, x[0], x[1], x[2], x[3], x[4]);
      x += 5;
      left -= 5;
    } else { /* the inputs end here: the rest are zeros */
      build_5(t, left > 0 ? x[0] : 0, left > 1 ? x[1] : 0, left > 2 ? x[2] : 0,
              left > 3 ? x[3] : 0, 0);
      left = 0;
    }
  }
}

/* Loads of RISC-V reach all tables from the middle, those of Xtensa two (dense_i8_t2_lut). */
#if defined(__XTENSA__)
#define AT_5(k) ((k) % 2 * BYTES_5)
#define NEXT_TWO      \
  at += 2 * BYTES_5;  \
  TERNC_OPAQUE(at);
#else
#define AT_5(k) (((k) - 4) * BYTES_5)
#define NEXT_TWO
#endif

/* Adds one tile to every sum; the first tile starts from `start`. */
TERNC_INLINE const uint8_t *add_tile_5(const uint32_t *t, const uint8_t *w, uint32_t *sums,
                                       uint32_t count, int first, uint32_t start) {
  const uint8_t *from = (const uint8_t *)t - AT_5(0);
  const uint32_t *const end = sums + count;
  TERNC_OPAQUE(from);
  for (; sums != end; sums++, w += TABLES_5) {
    const uint8_t *at = from;
    uint32_t sum = first ? start : *sums;
#define LOOK(k)                                                            \
  {                                                                        \
    const ternc_half *entry = (const ternc_half *)(const void *)at + w[k]; \
    TERNC_OPAQUE(entry);                                                   \
    sum += entry[AT_5(k) / 2];                                             \
  }
    LOOK(0) LOOK(1)
    NEXT_TWO
    LOOK(2) LOOK(3)
    NEXT_TWO
    LOOK(4) LOOK(5)
    NEXT_TWO
    LOOK(6) LOOK(7)
#undef LOOK
    *sums = sum;
  }
  return w;
}

static void run_dense_i8_t2_lut5(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_dense_i8_t2_lut5_args a = *(const ternc_dense_i8_t2_lut5_args *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *t = (uint32_t *)ternc_data(op, a.scratch), *sums = t + WORDS_5 * TABLES_5;
  const uint32_t width = 5 * TABLES_5, tiles = (a.in_features + width - 1) / width;
  const uint32_t start = 0u - (uint32_t)BIAS_5 * TABLES_5 * tiles;
  uint32_t row, done, count, i;
  (void)begin; /* the tables serve every output: the work does not divide */
  (void)end;
  for (row = 0; row < a.rows; row++, x += a.in_features) {
    const uint8_t *w = (const uint8_t *)ternc_data(op, a.w);
    for (done = 0; done < a.out_features; done += count) {
      count = a.out_features - done < a.slab ? a.out_features - done : a.slab;
      for (i = 0; i < tiles; i++) {
        build_tile_5(t, x + i * width, a.in_features - i * width);
        w = i > 0 ? add_tile_5(t, w, sums, count, 0, 0) : add_tile_5(t, w, sums, count, 1, start);
      }
      for (i = 0; i < count; i++) {
        *y++ = (int8_t)ternc_requant32(sums[i], m[done + i], c[done + i], a.shift, a.lo, a.hi);
      }
    }
  }
}

TERNC_KERNEL(dense_i8_t2_lut5, check_dense_i8_t2_lut5, NULL, run_dense_i8_t2_lut5)

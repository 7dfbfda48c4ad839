/* Dense layer, ternary weights, by look-up: a byte of weights stands for four of them, and selects
 * one of the 81 sums that four activations can make (pair_table.h).
 *
 * `block` tables are built at a time; the sums of `slab` outputs wait in scratch, behind the tables
 * (w: [slab][tile][out][block]). */
#include "pair_table.h"

enum { BIAS = 512, MOST = 16 };

TERNC_COLD static ternc_status check_dense_i8_t2_lut(const ternc_op *op) {
  const ternc_dense_i8_t2_lut_args *args = (const ternc_dense_i8_t2_lut_args *)op->args;
  uint64_t codes;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->in_features) ||
      !ternc_is_dim(args->out_features) ||
      (args->block != 4 && args->block != 8 && args->block != MOST) ||
      args->slab == 0 || args->slab > args->out_features ||
      !ternc_is_requant32(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  codes = ((args->in_features + 4u * args->block - 1) / (4u * args->block)) *
          (uint64_t)args->block * args->out_features;
  if (ternc_expect(op, args->x, TERNC_I8, (uint64_t)args->rows * args->in_features) ||
      ternc_expect(op, args->y, TERNC_I8, (uint64_t)args->rows * args->out_features) ||
      ternc_expect(op, args->m, TERNC_I32, args->out_features) ||
      ternc_expect(op, args->c, TERNC_I32, args->out_features) ||
      ternc_expect(op, args->w, TERNC_U8, codes) ||
      ternc_expect(op, args->scratch, TERNC_I32,
                   (uint64_t)TERNC_PAIR_WORDS * args->block + args->slab)) {
    return TERNC_E_OPERAND;
  }
  /* The codes address the tables. */
  if (!ternc_pair_codes((const uint8_t *)ternc_data(op, args->w), codes)) return TERNC_E_OPERAND;
  return TERNC_OK;
}

static void build_tile(uint32_t *t, uint32_t block, const int8_t *x, uint32_t left) {
  uint32_t i;
  for (i = 0; i < block; i++, t += TERNC_PAIR_WORDS) {
    if (left >= 4) {
      ternc_pair_build(t, BIAS, x[0], x[1], x[2], x[3]);
      x += 4;
      left -= 4;
    } else { /* the inputs end here: the rest are zeros */
      ternc_pair_build(t, BIAS, left > 0 ? x[0] : 0, left > 1 ? x[1] : 0, left > 2 ? x[2] : 0, 0);
      left = 0;
    }
  }
}

/* How far a look-up's table is from `at`. Loads of RISC-V reach 2 KB either way: every table from
 * the middle. Those of Xtensa reach 510 bytes: four tables. */
#if defined(__XTENSA__)
#define AT(k) ((k) % 4 * TERNC_PAIR_BYTES)
#define NEXT_FOUR             \
  at += 4 * TERNC_PAIR_BYTES; \
  TERNC_OPAQUE(at);
#else
#define AT(k) (((k) - 8) * TERNC_PAIR_BYTES)
#define NEXT_FOUR
#endif

/* Adds one tile to every sum; the first tile starts from `start`. */
TERNC_INLINE const uint8_t *add_tile(const uint32_t *t, const uint8_t *w, uint32_t *sums,
                                     uint32_t count, uint32_t block, int first, uint32_t start) {
  const uint8_t *from = (const uint8_t *)t - AT(0);
  const uint32_t *const end = sums + count;
  TERNC_OPAQUE(from);
  for (; sums != end; sums++, w += block) {
    const uint8_t *at = from;
    uint32_t sum = first ? start : *sums;
#define LOOK(k) sum += TERNC_PAIR_ENTRY(at, w, k, AT(k));
    LOOK(0) LOOK(1) LOOK(2) LOOK(3)
    if (block >= 8) {
      NEXT_FOUR
      LOOK(4) LOOK(5) LOOK(6) LOOK(7)
    }
    if (block == MOST) {
      NEXT_FOUR
      LOOK(8) LOOK(9) LOOK(10) LOOK(11)
      NEXT_FOUR
      LOOK(12) LOOK(13) LOOK(14) LOOK(15)
    }
#undef LOOK
    *sums = sum;
  }
  return w;
}

static void run_dense_i8_t2_lut(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_dense_i8_t2_lut_args a = *(const ternc_dense_i8_t2_lut_args *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *t = (uint32_t *)ternc_data(op, a.scratch), *sums = t + TERNC_PAIR_WORDS * a.block;
  const uint32_t width = 4 * a.block, tiles = (a.in_features + width - 1) / width;
  const uint32_t start = 0u - BIAS * a.block * tiles;
  uint32_t row, done, count, i;
  (void)begin; /* the tables serve every output: the work does not divide */
  (void)end;
  for (row = 0; row < a.rows; row++, x += a.in_features) {
    const uint8_t *w = (const uint8_t *)ternc_data(op, a.w);
    for (done = 0; done < a.out_features; done += count) {
      count = a.out_features - done < a.slab ? a.out_features - done : a.slab;
      for (i = 0; i < tiles; i++) {
        build_tile(t, a.block, x + i * width, a.in_features - i * width);
        if (a.block == MOST && i > 0) w = add_tile(t, w, sums, count, MOST, 0, 0);
        else if (a.block == MOST) w = add_tile(t, w, sums, count, MOST, 1, start);
        else if (a.block == 8) w = add_tile(t, w, sums, count, 8, i == 0, start);
        else w = add_tile(t, w, sums, count, 4, i == 0, start);
      }
      for (i = 0; i < count; i++) {
        *y++ = (int8_t)ternc_requant32(sums[i], m[done + i], c[done + i], a.shift, a.lo, a.hi);
      }
    }
  }
}

TERNC_KERNEL(dense_i8_t2_lut, check_dense_i8_t2_lut, NULL, run_dense_i8_t2_lut)

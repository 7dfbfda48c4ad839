/* Template of the dense layers by look-up, ternary weights: a byte of weights stands for four of
 * them, and selects one of the 81 sums that four activations can make (pair_table.h).
 *
 * `block` tables are built at a time; the sums of `slab` outputs wait in scratch, behind the tables
 * (w: [slab][tile][out][block]).
 *
 * LUT_NAME is the instruction; with LUT_SHORT its constants are short (short_requant.h). */
#include "pair_tile.h"
#ifdef LUT_SHORT
#include "short_requant.h"
#endif

#define LUT_PASTE2(a, b) a##_##b
#define LUT_PASTE(a, b) LUT_PASTE2(a, b)
#define LUT_FN(f) LUT_PASTE(f, LUT_NAME)
#define LUT_ARGS LUT_PASTE(LUT_PASTE(ternc, LUT_NAME), args)

/* Whether the constants are there for every output, and may be used. */
TERNC_COLD static int LUT_FN(requantizes)(const ternc_op *op, const LUT_ARGS *args) {
#ifdef LUT_SHORT
  return ternc_is_short_requant(args->c_shift, args->shift, args->lo, args->hi) &&
         ternc_expect(op, args->k, TERNC_I16, 2 * (uint64_t)args->out_features) == TERNC_OK;
#else
  return ternc_is_requant32(args->shift, args->lo, args->hi) &&
         ternc_expect(op, args->m, TERNC_I32, args->out_features) == TERNC_OK &&
         ternc_expect(op, args->c, TERNC_I32, args->out_features) == TERNC_OK;
#endif
}

TERNC_COLD static ternc_status LUT_FN(check)(const ternc_op *op) {
  const LUT_ARGS *args = (const LUT_ARGS *)op->args;
  uint64_t codes;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->in_features) ||
      !ternc_is_dim(args->out_features) ||
      (args->block != 4 && args->block != 8 && args->block != 16) ||
      args->slab == 0 || args->slab > args->out_features || !LUT_FN(requantizes)(op, args)) {
    return TERNC_E_OPERAND;
  }
  codes = ((args->in_features + 4u * args->block - 1) / (4u * args->block)) *
          (uint64_t)args->block * args->out_features;
  if (ternc_expect(op, args->x, TERNC_I8, (uint64_t)args->rows * args->in_features) ||
      ternc_expect(op, args->y, TERNC_I8, (uint64_t)args->rows * args->out_features) ||
      ternc_expect(op, args->w, TERNC_U8, codes) ||
      ternc_expect(op, args->scratch, TERNC_I32,
                   (uint64_t)TERNC_PAIR_WORDS * args->block + args->slab)) {
    return TERNC_E_OPERAND;
  }
  /* The codes address the tables. */
  if (!ternc_pair_codes((const uint8_t *)ternc_data(op, args->w), codes)) return TERNC_E_OPERAND;
  return TERNC_OK;
}

static void LUT_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const LUT_ARGS a = *(const LUT_ARGS *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
#ifdef LUT_SHORT
  const int16_t *const constants = (const int16_t *)ternc_data(op, a.k), *k;
#else
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
#endif
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *t = (uint32_t *)ternc_data(op, a.scratch), *sums = t + TERNC_PAIR_WORDS * a.block;
  uint32_t row, done, count, i;
  (void)begin; /* the tables serve every output: the work does not divide */
  (void)end;
  for (row = 0; row < a.rows; row++, x += a.in_features) {
    const uint8_t *w = (const uint8_t *)ternc_data(op, a.w);
    for (done = 0; done < a.out_features; done += count) {
      count = a.out_features - done < a.slab ? a.out_features - done : a.slab;
      w = ternc_tile_sums(t, a.block, x, a.in_features, w, sums, count);
#ifdef LUT_SHORT
      k = constants + 2 * (size_t)done;
      for (i = 0; i < count; i++, k += 2) {
        *y++ = (int8_t)ternc_short_requant(sums[i], k, a.c_shift, a.shift, a.lo, a.hi);
      }
#else
      for (i = 0; i < count; i++) {
        *y++ = (int8_t)ternc_requant32(sums[i], m[done + i], c[done + i], a.shift, a.lo, a.hi);
      }
#endif
    }
  }
}

#undef LUT_NAME
#undef LUT_SHORT
#undef LUT_PASTE2
#undef LUT_PASTE
#undef LUT_FN
#undef LUT_ARGS

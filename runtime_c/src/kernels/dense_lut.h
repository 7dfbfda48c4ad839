/* Template of the dense layers by look-up, ternary weights: a byte of weights stands for four of
 * them, and selects one of the 81 sums that four activations can make (pair_table.h).
 *
 * `block` tables are built at a time; the sums of `slab` outputs wait in scratch, behind the tables
 * (w: [slab][tile][out][block]).
 *
 * LUT_NAME is the instruction. With LUT_FIVE a byte stands for five weights, and the block is 8
 * (five_tile.h); with LUT_SHORT the constants are short (short_requant.h). */
#ifdef LUT_FIVE
#include "five_tile.h"
#define LUT_GROUP 5u
#define LUT_BLOCK(args) ((uint32_t)TERNC_FIVE_TABLES)
#define LUT_IS_BLOCK(args) 1
#define LUT_WORDS TERNC_FIVE_WORDS
#define LUT_CODES ternc_five_codes
#define LUT_SUMS(t, args, x, w, sums, count) \
  ternc_five_sums(t, x, (args)->in_features, w, sums, count)
#else
#include "pair_tile.h"
#define LUT_GROUP 4u
#define LUT_BLOCK(args) ((args)->block)
#define LUT_IS_BLOCK(args) ((args)->block == 4 || (args)->block == 8 || (args)->block == 16)
#define LUT_WORDS TERNC_PAIR_WORDS
#define LUT_CODES ternc_pair_codes
#define LUT_SUMS(t, args, x, w, sums, count) \
  ternc_tile_sums(t, (args)->block, x, (args)->in_features, w, sums, count)
#endif
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
  uint32_t width;
  uint64_t codes;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->in_features) ||
      !ternc_is_dim(args->out_features) || !LUT_IS_BLOCK(args) || args->slab == 0 || args->slab > args->out_features || !LUT_FN(requantizes)(op, args)) {
    return TERNC_E_OPERAND;
  }
  width = LUT_GROUP * LUT_BLOCK(args);
  codes = (args->in_features + width - 1) / width * (uint64_t)LUT_BLOCK(args) * args->out_features;
  if (ternc_expect(op, args->x, TERNC_I8, (uint64_t)args->rows * args->in_features) ||
      ternc_expect(op, args->y, TERNC_I8, (uint64_t)args->rows * args->out_features) ||
      ternc_expect(op, args->w, TERNC_U8, codes) ||
      ternc_expect(op, args->scratch, TERNC_I32,
                   (uint64_t)LUT_WORDS * LUT_BLOCK(args) + args->slab)) {
    return TERNC_E_OPERAND;
  }
  /* The codes address the tables. */
  if (!LUT_CODES((const uint8_t *)ternc_data(op, args->w), codes)) return TERNC_E_OPERAND;
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
  uint32_t *t = (uint32_t *)ternc_data(op, a.scratch), *sums = t + LUT_WORDS * LUT_BLOCK(&a);
  uint32_t row, done, count, i;
  (void)begin; /* the tables serve every output: the work does not divide */
  (void)end;
  for (row = 0; row < a.rows; row++, x += a.in_features) {
    const uint8_t *w = (const uint8_t *)ternc_data(op, a.w);
    for (done = 0; done < a.out_features; done += count) {
      count = a.out_features - done < a.slab ? a.out_features - done : a.slab;
      w = LUT_SUMS(t, &a, x, w, sums, count);
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
#undef LUT_FIVE
#undef LUT_SHORT
#undef LUT_GROUP
#undef LUT_BLOCK
#undef LUT_IS_BLOCK
#undef LUT_WORDS
#undef LUT_CODES
#undef LUT_SUMS
#undef LUT_PASTE2
#undef LUT_PASTE
#undef LUT_FN
#undef LUT_ARGS

/* Template: layer normalization over the last axis in integers only. No include guard: it is
 * included once per kernel, with LAYERNORM_NAME (the instruction) and LAYERNORM_BITS, 8 or 16, of x.
 *
 * With n <= 4096 and b bits: |sum(x)| <= 2^(11+b), n*sum(x^2) <= 2^(22+2b), v < 2^62 + 2^54. v*4^k is
 * brought into [2^62, 2^64), so that its square root has 32 significant bits and the reciprocal q of
 * that 31; both errors together move a (at most sqrt(n)*2^f with f fraction bits, as
 * |n*x - sum(x)|^2 <= n*v) by less than 2^(f-24), so the floor is within 1 of the exact one.
 * |(n*x - sum(x))*q| < 2^(12+b)*2^32. */
#include "axis.h"

#define LAYERNORM_PASTE2(a, b) a##_##b
#define LAYERNORM_PASTE(a, b) LAYERNORM_PASTE2(a, b)
#define LAYERNORM_FN(f) LAYERNORM_PASTE(f, LAYERNORM_NAME)
#define LAYERNORM_ARGS LAYERNORM_PASTE(LAYERNORM_PASTE(ternc, LAYERNORM_NAME), args)
#define LAYERNORM_MOST 4096u
#if LAYERNORM_BITS == 8
#define LAYERNORM_TYPE int8_t
#define LAYERNORM_SQUARES int32_t
#define LAYERNORM_FRACTION 12u
#else
#include "wide.h"
#define LAYERNORM_TYPE int16_t
#define LAYERNORM_SQUARES int64_t
#define LAYERNORM_FRACTION 20u
#endif

static uint64_t LAYERNORM_FN(epsilon)(const LAYERNORM_ARGS *args) {
  return (uint64_t)args->epsilon_hi << 32 | args->epsilon_lo;
}

static ternc_status LAYERNORM_FN(check)(const ternc_op *op) {
  const LAYERNORM_ARGS *args = (const LAYERNORM_ARGS *)op->args;
  const uint64_t count = ternc_mul_sat(args->outer, args->n);
  if (args->n > LAYERNORM_MOST || LAYERNORM_FN(epsilon)(args) >> 62 != 0 ||
      ternc_expect(op, args->m, TERNC_I32, args->n) ||
      ternc_expect(op, args->c, TERNC_I32, args->n) || args->shift > TERNC_MAX_SHIFT) {
    return TERNC_E_OPERAND;
  }
#if LAYERNORM_BITS == 8
  return ternc_expect(op, args->x, TERNC_I8, count) || ternc_expect(op, args->y, TERNC_I8, count) ||
                 !ternc_is_i8_range(args->lo, args->hi)
             ? TERNC_E_OPERAND
             : TERNC_OK;
#else
  return ternc_expect(op, args->x, TERNC_I16, count) ||
                 !ternc_wide_fits(op, args->y, count, args->lo, args->hi)
             ? TERNC_E_OPERAND
             : TERNC_OK;
#endif
}

static uint32_t LAYERNORM_FN(rows)(const ternc_op *op) {
  const LAYERNORM_ARGS *args = (const LAYERNORM_ARGS *)op->args;
  return args->n == 0 ? 0 : args->outer;
}

/* floor(sqrt(v)), digit by digit: shifts and subtractions only. */
static uint32_t LAYERNORM_FN(root)(uint64_t v) {
  uint64_t root = 0, bit;
  for (bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
    if (v >= root + bit) {
      v -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return (uint32_t)root;
}

static void LAYERNORM_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const LAYERNORM_ARGS *args = (const LAYERNORM_ARGS *)op->args;
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  const int32_t *c = (const int32_t *)ternc_data(op, args->c);
  const int32_t n = (int32_t)args->n;
  for (; begin < end; begin++) {
    const LAYERNORM_TYPE *x =
        (const LAYERNORM_TYPE *)ternc_data(op, args->x) + (size_t)begin * args->n;
#if LAYERNORM_BITS == 8
    int8_t *y = (int8_t *)ternc_data(op, args->y) + (size_t)begin * args->n;
#else
    void *y = ternc_data(op, args->y);
    const int narrow = ternc_is_narrow(op, args->y);
#endif
    LAYERNORM_SQUARES squares = 0;
    int32_t sum = 0, i;
    uint32_t shift = 63u - LAYERNORM_FRACTION;
    int64_t q = 0; /* v = 0: every x is the mean */
    uint64_t v;
    for (i = 0; i < n; i++) {
      sum += x[i];
      squares += x[i] * x[i];
    }
    v = (uint64_t)((int64_t)n * squares - (int64_t)sum * sum) + LAYERNORM_FN(epsilon)(args);
    if (v != 0) {
      for (; v >> 62 == 0; v <<= 2) shift--;
      q = (int64_t)(((uint64_t)1 << 63) / LAYERNORM_FN(root)(v));
    }
    for (i = 0; i < n; i++) {
      const int32_t a = (int32_t)((int64_t)(n * x[i] - sum) * q >> shift);
#if LAYERNORM_BITS == 8
      y[i] = (int8_t)ternc_requant(a, m[i], c[i], args->shift, args->lo, args->hi);
#else
      ternc_put(y, (size_t)begin * args->n + (size_t)i, narrow,
                ternc_requant(a, m[i], c[i], args->shift, args->lo, args->hi));
#endif
    }
  }
}

#undef LAYERNORM_NAME
#undef LAYERNORM_BITS
#undef LAYERNORM_TYPE
#undef LAYERNORM_SQUARES
#undef LAYERNORM_FRACTION
#undef LAYERNORM_MOST
#undef LAYERNORM_PASTE2
#undef LAYERNORM_PASTE
#undef LAYERNORM_FN
#undef LAYERNORM_ARGS

/* Layer normalization over the last axis, int8, in integers only.
 *
 * With n <= 4096: |sum(x)| <= 2^19, n*sum(x^2) <= 2^38, v < 2^62 + 2^38. v*4^k is brought into
 * [2^62, 2^64), so that its square root has 32 significant bits and the reciprocal q of that 31;
 * both errors together move a (at most sqrt(n)*2^12, as |n*x - sum(x)|^2 <= n*v) by less than
 * 2^-12, so the floor is within 1 of the exact one. |(n*x - sum(x))*q| < 2^20*2^32. */
#include "axis.h"

enum { LAYERNORM_MOST = 4096 };

static uint64_t epsilon_layernorm_i8(const ternc_layernorm_i8_args *args) {
  return (uint64_t)args->epsilon_hi << 32 | args->epsilon_lo;
}

static ternc_status check_layernorm_i8(const ternc_op *op) {
  const ternc_layernorm_i8_args *args = (const ternc_layernorm_i8_args *)op->args;
  const uint64_t count = ternc_mul_sat(args->outer, args->n);
  if (args->n > LAYERNORM_MOST || epsilon_layernorm_i8(args) >> 62 != 0 ||
      ternc_expect(op, args->x, TERNC_I8, count) || ternc_expect(op, args->y, TERNC_I8, count) ||
      ternc_expect(op, args->m, TERNC_I32, args->n) ||
      ternc_expect(op, args->c, TERNC_I32, args->n) ||
      !ternc_is_requant(args->shift, args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static uint32_t rows_layernorm_i8(const ternc_op *op) {
  const ternc_layernorm_i8_args *args = (const ternc_layernorm_i8_args *)op->args;
  return args->n == 0 ? 0 : args->outer;
}

/* floor(sqrt(v)), digit by digit: shifts and subtractions only. */
static uint32_t root_layernorm_i8(uint64_t v) {
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

static void run_layernorm_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_layernorm_i8_args *args = (const ternc_layernorm_i8_args *)op->args;
  const int32_t *m = (const int32_t *)ternc_data(op, args->m);
  const int32_t *c = (const int32_t *)ternc_data(op, args->c);
  const int32_t n = (int32_t)args->n;
  for (; begin < end; begin++) {
    const int8_t *x = (const int8_t *)ternc_data(op, args->x) + (size_t)begin * args->n;
    int8_t *y = (int8_t *)ternc_data(op, args->y) + (size_t)begin * args->n;
    int32_t sum = 0, squares = 0, i;
    uint32_t shift = 51;
    int64_t q = 0; /* v = 0: every x is the mean */
    uint64_t v;
    for (i = 0; i < n; i++) {
      sum += x[i];
      squares += x[i] * x[i];
    }
    v = (uint64_t)((int64_t)n * squares - (int64_t)sum * sum) + epsilon_layernorm_i8(args);
    if (v != 0) {
      for (; v >> 62 == 0; v <<= 2) shift--;
      q = (int64_t)(((uint64_t)1 << 63) / root_layernorm_i8(v));
    }
    for (i = 0; i < n; i++) {
      const int32_t a = (int32_t)((int64_t)(n * x[i] - sum) * q >> shift);
      y[i] = (int8_t)ternc_requant(a, m[i], c[i], args->shift, args->lo, args->hi);
    }
  }
}

TERNC_KERNEL(layernorm_i8, check_layernorm_i8, rows_layernorm_i8, run_layernorm_i8)

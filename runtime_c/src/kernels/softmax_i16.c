/* Softmax over the middle axis, int16: exp of a difference is a product of two table entries. */
#include "axis.h"
#include "wide.h"

static uint32_t most_softmax_i16(const uint32_t *table) {
  uint32_t most = 0, i;
  for (i = 0; i < 256; i++) {
    if (table[i] > most) most = table[i];
  }
  return most;
}

/* exp(-d*scale) of d = most - x <= 65535: entries of the high and of the low byte. */
static uint32_t exp_softmax_i16(const uint32_t *table, int32_t most, int32_t x) {
  const uint32_t d = (uint32_t)(most - x) & 0xffffu;
  return (uint32_t)((uint64_t)table[d >> 8] * table[256 + (d & 255u)] >> 32);
}

static ternc_status check_softmax_i16(const ternc_op *op) {
  const ternc_softmax_i16_args *args = (const ternc_softmax_i16_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  const uint32_t *table;
  uint64_t most;
  if (ternc_expect(op, args->x, TERNC_I16, count) ||
      !ternc_wide_fits(op, args->y, count, args->lo, args->hi) ||
      ternc_expect(op, args->table, TERNC_I32, 512)) {
    return TERNC_E_OPERAND;
  }
  table = (const uint32_t *)ternc_data(op, args->table);
  most = (uint64_t)most_softmax_i16(table) * most_softmax_i16(table + 256) >> 32;
  /* The maximum itself reads exp(0): when that is not 0, no sum is. n*most*2^16 and
   * most*multiplier + n*most*2^15 fit 64 bits. */
  if (exp_softmax_i16(table, 0, 0) == 0 || args->n > 1u << 16 || most > 1u << 31 ||
      ternc_mul_sat(most, args->multiplier) > (uint64_t)1 << 62) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one vector along the axis. */
static uint32_t rows_softmax_i16(const ternc_op *op) {
  const ternc_softmax_i16_args *args = (const ternc_softmax_i16_args *)op->args;
  return args->n == 0 ? 0 : args->outer * args->inner;
}

static void run_softmax_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_softmax_i16_args *args = (const ternc_softmax_i16_args *)op->args;
  const uint32_t *table = (const uint32_t *)ternc_data(op, args->table);
  const int32_t none = ternc_clamp(args->zero, args->lo, args->hi);
  const size_t step = args->inner;
  void *y = ternc_data(op, args->y);
  const int narrow = ternc_is_narrow(op, args->y);
  for (; begin < end; begin++) {
    const size_t at = ternc_row_at(begin, args->n, args->inner);
    const int16_t *x = (const int16_t *)ternc_data(op, args->x) + at;
    int32_t most = -32768;
    uint64_t sum = 0;
    uint32_t i;
    for (i = 0; i < args->n; i++) {
      if (x[i * step] > most) most = x[i * step];
    }
    for (i = 0; i < args->n; i++) sum += exp_softmax_i16(table, most, x[i * step]);
    if (sum == 0) sum = 1; /* only a hostile blob, that overlaps x and y across rows, gets here */
    for (i = 0; i < args->n; i++) {
      const uint32_t t = exp_softmax_i16(table, most, x[i * step]);
      const uint64_t scaled = (uint64_t)t * args->multiplier;
      int32_t level = none;
      if (scaled >= sum << 15) { /* the others round to 0: spared the division */
        level = ternc_clamp64((int64_t)((scaled + (sum << 15)) / (sum << 16)) + args->zero,
                              args->lo, args->hi);
      }
      ternc_put(y, at + i * step, narrow, level);
    }
  }
}

TERNC_KERNEL(softmax_i16, check_softmax_i16, rows_softmax_i16, run_softmax_i16)

/* Softmax over the middle axis, int8, by a table of exponentials. */
#include "axis.h"

/* True when n entries of the table, of which the largest is `most`, can be summed, scaled and
 * rounded in 64 bits: n*most*2^16 and most*multiplier + n*most*2^15 both fit. */
static int fits_softmax_i8(uint32_t n, uint32_t most, uint32_t multiplier) {
  const uint64_t sum = (uint64_t)n * most, product = (uint64_t)most * multiplier;
  return sum < (uint64_t)1 << 48 && product <= UINT64_MAX - (sum << 15);
}

TERNC_COLD static ternc_status check_softmax_i8(const ternc_op *op) {
  const ternc_softmax_i8_args *args = (const ternc_softmax_i8_args *)op->args;
  const uint64_t count = ternc_mul3(args->outer, args->n, args->inner);
  const uint32_t *table;
  uint32_t most = 0, i;
  if (ternc_expect(op, args->x, TERNC_I8, count) || ternc_expect(op, args->y, TERNC_I8, count) ||
      ternc_expect(op, args->table, TERNC_I32, 256) || !ternc_is_i8_range(args->lo, args->hi)) {
    return TERNC_E_OPERAND;
  }
  table = (const uint32_t *)ternc_data(op, args->table);
  for (i = 0; i < 256; i++) {
    if (table[i] > most) most = table[i];
  }
  /* The maximum itself reads table[0]: when that is not 0, no sum is. */
  if (table[0] == 0 || !fits_softmax_i8(args->n, most, args->multiplier)) return TERNC_E_OPERAND;
  return TERNC_OK;
}

/* How far b must be shifted down to have 15 bits: then a, less than b * 2^17, has 32. */
static uint32_t surplus(uint64_t b) {
  uint32_t shift = 0;
  while (b >> shift > 0x7fff) shift++;
  return shift;
}

/* floor(a / b), less than 2^17, in 32-bit division: an estimate by b's upper bits, from below and
 * at most 17 too small, is put right. A hostile blob's quotient may be larger; it must only end. */
static uint32_t quotient(uint64_t a, uint64_t b, uint32_t shift) {
  uint32_t q = (uint32_t)(a >> shift) / ((uint32_t)(b >> shift) + (shift != 0)), left = 17;
  uint64_t rest = a - q * b;
  for (; rest >= b && left > 0; rest -= b, left--) q++;
  return q;
}

/* A row is one vector along the axis. */
static uint32_t rows_softmax_i8(const ternc_op *op) {
  const ternc_softmax_i8_args *args = (const ternc_softmax_i8_args *)op->args;
  return args->n == 0 ? 0 : args->outer * args->inner;
}

TERNC_OUTER static void run_softmax_i8(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_softmax_i8_args *args = (const ternc_softmax_i8_args *)op->args;
  const uint32_t *table = (const uint32_t *)ternc_data(op, args->table);
  const int32_t none = ternc_clamp(args->zero, args->lo, args->hi);
  const size_t step = args->inner;
  for (; begin < end; begin++) {
    const size_t at = ternc_row_at(begin, args->n, args->inner);
    const int8_t *x = (const int8_t *)ternc_data(op, args->x) + at;
    int8_t *y = (int8_t *)ternc_data(op, args->y) + at;
    int32_t most = -128;
    uint64_t sum = 0;
    uint32_t i, shift;
    for (i = 0; i < args->n; i++) {
      if (x[i * step] > most) most = x[i * step];
    }
    for (i = 0; i < args->n; i++) sum += table[(uint8_t)(most - x[i * step])];
    if (sum == 0) sum = 1; /* only a hostile blob, that overlaps x and y across rows, gets here */
    shift = surplus(sum << 1);
    for (i = 0; i < args->n; i++) {
      const uint64_t scaled = (uint64_t)table[(uint8_t)(most - x[i * step])] * args->multiplier;
      if (scaled < sum << 15) { /* rounds to 0: most of a long axis, spared the division */
        y[i * step] = (int8_t)none;
      } else {
        /* Both sides of the fraction by 2^15; at most multiplier / 2^16 + 1/2, as no entry exceeds
         * the sum. */
        const uint32_t level = quotient((scaled >> 15) + sum, sum << 1, shift);
        y[i * step] = (int8_t)ternc_clamp64((int64_t)level + args->zero, args->lo, args->hi);
      }
    }
  }
}

TERNC_KERNEL(softmax_i8, check_softmax_i8, rows_softmax_i8, run_softmax_i8)

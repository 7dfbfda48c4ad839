/* Template: the quotient of the division kernels. No include guard: it is included once per kernel,
 * with QUOTIENT_NAME (the function) and QUOTIENT_ARGS (the instruction's arguments). */
#include "../ternc_arith.h"

/* floor(a*m/(b << shift) + 1/2) + zero, clamped; |a|, |b| <= 2^15 and shift <= 46, so that all fits
 * 64 bits. */
static int32_t QUOTIENT_NAME(const QUOTIENT_ARGS *args, int32_t a, int32_t b) {
  int64_t numerator = (int64_t)a * args->m, denominator = (int64_t)b * ((int64_t)1 << args->shift);
  int64_t floor;
  if (denominator == 0) {
    /* The divisor's real value is +0: the sign of the result is the numerator's. */
    if (numerator == 0) return ternc_clamp(args->zero, args->lo, args->hi);
    return numerator > 0 ? args->hi : args->lo;
  }
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  numerator = 2 * numerator + denominator;
  denominator *= 2;
  floor = numerator / denominator;
  if (numerator % denominator < 0) floor--;
  floor += args->zero;
  return ternc_clamp64(floor, args->lo, args->hi);
}

#undef QUOTIENT_NAME
#undef QUOTIENT_ARGS

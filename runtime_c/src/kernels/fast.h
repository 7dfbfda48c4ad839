/* What the fast integer kernels share (internal). They compute the same bytes as the plain ones
 * wherever |floor(acc*m / 2^16) + c| < 2^31, which the compiler proves; elsewhere they only wrap. */
#ifndef TERNC_FAST_H
#define TERNC_FAST_H

#include "../ternc_arith.h"

/* Half words of tables that are built in whole words, words of bytes. A compiler without the attribute (MSVC) has
 * no type-based alias analysis to mislead. */
#if defined(__GNUC__) || defined(__clang__)
typedef uint16_t __attribute__((may_alias)) ternc_half;
typedef uint32_t __attribute__((may_alias)) ternc_word;
#define TERNC_INLINE static inline __attribute__((always_inline))
#define TERNC_NOINLINE __attribute__((noinline))
#define TERNC_RARE(condition) __builtin_expect(!!(condition), 0)
#else
typedef uint16_t ternc_half;
typedef uint32_t ternc_word;
#define TERNC_INLINE static inline
#define TERNC_NOINLINE
#define TERNC_RARE(condition) (condition)
#endif

/* Hides from the compiler how an address was computed, so that it keeps it in one register and
 * reaches what lies around it by the instructions' own offsets. */
#if defined(__GNUC__) || defined(__clang__)
#define TERNC_OPAQUE(pointer) __asm__("" : "+r"(pointer))
#else
#define TERNC_OPAQUE(pointer) ((void)0)
#endif

/* A function whose statements are already in a good order: GCC's scheduler, on a core with few
 * registers to spare, would only spill. */
#if defined(__GNUC__) && !defined(__clang__)
#define TERNC_IN_ORDER __attribute__((optimize("no-schedule-insns", "no-tree-reassoc")))
#else
#define TERNC_IN_ORDER
#endif

/* 1 when the requantization below may be called with these. */
static inline int ternc_is_requant32(uint32_t shift, int32_t lo, int32_t hi) {
  return shift <= 31 && ternc_is_i8_range(lo, hi);
}

/* ternc_clamp with one test on the way of a value that is in range. */
TERNC_INLINE int32_t ternc_clamp_rare(int32_t y, int32_t lo, int32_t hi) {
  if (TERNC_RARE((uint32_t)y - (uint32_t)lo > (uint32_t)hi - (uint32_t)lo)) return y < lo ? lo : hi;
  return y;
}

/* ternc_requant in 32-bit arithmetic: mul, mulh and a few shifts on a 32-bit core. */
TERNC_INLINE int32_t ternc_requant32(uint32_t acc, int32_t m, int32_t c, uint32_t shift, int32_t lo,
                                     int32_t hi) {
  const uint64_t product = (uint64_t)((int64_t)(int32_t)acc * m);
  const int32_t y = (int32_t)((uint32_t)(product >> 16) + (uint32_t)c) >> shift;
  return ternc_clamp_rare(y, lo, hi);
}

/* The sum of a requantized value and a residual element, requantized as add_i8 does. */
TERNC_INLINE int8_t ternc_residual_sum(const ternc_residual *k, int32_t v, int32_t r) {
  const uint32_t sum = (uint32_t)v * (uint32_t)k->y_m + (uint32_t)r * (uint32_t)k->r_m;
  return (int8_t)ternc_clamp_rare((int32_t)(sum + (uint32_t)k->sum_c) >> k->sum_shift, k->sum_lo,
                                  k->sum_hi);
}

/* Upper half of a product: one instruction. */
TERNC_INLINE uint32_t ternc_mulhu(uint32_t a, uint32_t b) {
  return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* Lanes: two sums in a word, `low + high * 65536` as one integer, both between -32768 and 32767
 * in the end. The kernels start from 0x80008000, which makes both halves unsigned, so that either
 * half, moved to the top, feeds mulhu: floor((sum + 0x8000) * m / 2^16), m even and not negative,
 * is floor(sum * m / 2^16) + m/2. `c` is the layer's less m/2 (ternc_lane_c). */
#define TERNC_LANES 0x80008000u

TERNC_INLINE uint32_t ternc_lane_c(int32_t m, int32_t c) { return (uint32_t)c - ((uint32_t)m >> 1); }

TERNC_INLINE int32_t ternc_requant_lane(uint32_t top, int32_t m, uint32_t lane_c, uint32_t shift,
                                        int32_t lo, int32_t hi) {
  const int32_t y = (int32_t)(ternc_mulhu(top, (uint32_t)m) + lane_c) >> shift;
  return ternc_clamp_rare(y, lo, hi);
}

#endif

/* Arithmetic and operand checks that the kernels share (internal to the runtime). */
#ifndef TERNC_ARITH_H
#define TERNC_ARITH_H

#include "ternc_check.h"
#include "ternc_kernel.h"

/* Checks (those that are no single expression: ternc_check.h)
 * ------ */

#define TERNC_MAX_DIM (1u << 24)  /* of dims, strides and pads: products of two fit in 64 bits */
#define TERNC_MAX_SHIFT 46u       /* of a requantization: 16 + shift stays below 63 */

/* 1 when 1 <= value <= TERNC_MAX_DIM. */
static inline int ternc_is_dim(uint32_t value) { return value - 1u < TERNC_MAX_DIM; }

/* 1 when |value| <= TERNC_MAX_DIM. */
static inline int ternc_is_offset(int32_t value) {
  return value <= (int32_t)TERNC_MAX_DIM && value >= -(int32_t)TERNC_MAX_DIM;
}

/* 1 when lo..hi is a range of int8 values. */
static inline int ternc_is_i8_range(int32_t lo, int32_t hi) {
  return -128 <= lo && lo <= hi && hi <= 127;
}

static inline int ternc_is_i8(int32_t value) { return -128 <= value && value <= 127; }

/* 1 when ternc_requant may be called with these for any m and c, and y fits int8. */
static inline int ternc_is_requant(uint32_t shift, int32_t lo, int32_t hi) {
  return shift <= TERNC_MAX_SHIFT && ternc_is_i8_range(lo, hi);
}

/* Whether rows are computed from the last to the first: where y begins behind x, it may lie over
 * what of x only earlier rows read (BYTECODE.md, places of outputs). */
static inline int ternc_backwards(const void *x, const void *y) {
  return (uintptr_t)y > (uintptr_t)x;
}

/* ternc_expect for a tensor that may be absent. */
static inline ternc_status ternc_expect_optional(const ternc_op *op, uint32_t tensor,
                                                 uint32_t dtype, uint64_t count) {
  return tensor == TERNC_NONE ? TERNC_OK : ternc_expect(op, tensor, dtype, count);
}

/* The same for elements of `size` (1, 2 or 4) bytes of any dtype of that size. */
static inline ternc_status ternc_expect_sized(const ternc_op *op, uint32_t tensor, uint32_t size,
                                              uint64_t count) {
  uint32_t dtype;
  if (tensor == TERNC_NONE) return TERNC_E_OPERAND;
  dtype = ternc_record(op, tensor)->dtype;
  return size != 0 && ternc_element_size(dtype) == size ? ternc_expect(op, tensor, dtype, count)
                                                        : TERNC_E_OPERAND;
}

/* Integers
 * -------- */

static inline int32_t ternc_clamp(int32_t v, int32_t lo, int32_t hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

static inline int32_t ternc_clamp64(int64_t v, int32_t lo, int32_t hi) {
  return v < lo ? lo : v > hi ? hi : (int32_t)v;
}

/* clamp((acc*m + (c << 16)) >> (16 + shift), lo, hi), floor, as if in unbounded integers: no
 * operand overflows (2^62 + 2^47 < 2^63). The right shift of a negative number is arithmetic on
 * every compiler that the runtime supports. shift <= TERNC_MAX_SHIFT. */
static inline int32_t ternc_requant(int32_t acc, int32_t m, int32_t c, uint32_t shift, int32_t lo,
                                    int32_t hi) {
  return ternc_clamp64(((int64_t)acc * m + (int64_t)c * 65536) >> (16 + shift), lo, hi);
}

/* The 2-bit ternary layout: four weights to a byte, the first in the top two bits, 00 = 0,
 * 01 = +1, 10 = -1, row-major without row padding. The invalid code 11 reads as 0. */
static inline int32_t ternc_t2(const uint8_t *packed, size_t index) {
  const int32_t code = packed[index >> 2] >> (6u - 2u * (index & 3u)) & 3;
  return (code & 1) - (code >> 1);
}

/* Bytes that `count` weights of that layout take. */
static inline uint64_t ternc_t2_bytes(uint64_t count) { return count / 4 + (count % 4 != 0); }

/* Floats
 * ------ */

static inline uint32_t ternc_float_bits(float v) {
  union { float f; uint32_t u; } bits;
  bits.f = v;
  return bits.u;
}

static inline float ternc_bits_float(uint32_t v) {
  union { float f; uint32_t u; } bits;
  bits.u = v;
  return bits.f;
}

/* NaN passes through. */
static inline float ternc_clampf(float v, float lo, float hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

/* Toward zero, down, up, and to nearest with ties to even; -0, inf and NaN as in libm. Floats from
 * 2^23 on are integers already. */
static inline float ternc_truncf(float v) {
  const uint32_t bits = ternc_float_bits(v);
  if ((bits & 0x7fffffffu) >= 0x4b000000u) return v;
  return ternc_bits_float(ternc_float_bits((float)(int32_t)v) | (bits & 0x80000000u));
}

static inline float ternc_floorf(float v) {
  const float t = ternc_truncf(v);
  return t > v ? t - 1.0f : t;
}

static inline float ternc_ceilf(float v) { return -ternc_floorf(-v); }

static inline float ternc_roundf(float v) {
  const uint32_t bits = ternc_float_bits(v);
  const float a = ternc_bits_float(bits & 0x7fffffffu);
  int32_t i;
  float d;
  if (!(a < 8388608.0f)) return v;
  i = (int32_t)a;
  d = a - (float)i; /* exact */
  if (d > 0.5f || (d == 0.5f && (i & 1) != 0)) i++;
  return ternc_bits_float(ternc_float_bits((float)i) | (bits & 0x80000000u));
}

/* clamp(round_half_even(x / scale) + zero, lo, hi); NaN gives zero (clamped as well). */
static inline int32_t ternc_quantize(float x, float scale, int32_t zero, int32_t lo, int32_t hi) {
  float v = ternc_roundf(x / scale);
  if (v != v) v = 0.0f;
  v = ternc_clampf(v, -1073741824.0f, 1073741824.0f); /* so that the conversion is defined */
  return ternc_clamp64((int64_t)(int32_t)v + zero, lo, hi);
}

#endif

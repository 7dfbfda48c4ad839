/* Sine, cosine and tangent of float32, for every finite angle: relative error 2e-7, of the tangent
 * 4e-7; NaN for an infinite one. */
#include "map_f32.h"

enum { TRIGONOMETRIC_SIN, TRIGONOMETRIC_COS, TRIGONOMETRIC_TAN, TRIGONOMETRIC_OPS };

/* The first 224 bits behind the point of 2/pi. The word of zeros before them is for small angles. */
static const uint32_t TWO_OVER_PI[8] = {
  0u,          0xa2f9836eu, 0x4e441529u, 0xfc2757d1u,
  0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
};

/* The 32 bits of 2/pi from bit `at` on (bit 32 is the first behind the point). */
static uint32_t bits_at(uint32_t at) {
  const uint32_t *word = TWO_OVER_PI + (at >> 5);
  const uint32_t shift = at & 31u;
  return shift == 0 ? word[0] : word[0] << shift | word[1] >> (32u - shift);
}

/* v = *quadrant*pi/2 + r with |r| <= pi/4; quadrant modulo 4. After Payne and Hanek: v is an
 * integer of 24 bits times 2^e, and of its product with 2/pi only 2 bits before the point and 62
 * behind it matter. A float comes no nearer to a multiple of pi/2 than 2^-31 (of those that are not
 * below pi/4), which leaves 31 bits. */
static float reduced(float v, uint32_t *quadrant) {
  const uint32_t bits = ternc_float_bits(v) & 0x7fffffffu;
  const uint64_t m = (bits & 0x007fffffu) | 0x00800000u;
  const uint32_t at = (bits >> 23) - 120u; /* pi/4 has the exponent 126: from 6 to 134 */
  uint64_t phase;
  int32_t high;
  float r;
  if (bits <= 0x3f490fdau) { /* pi/4 */
    *quadrant = 0;
    return v;
  }
  phase = (m * bits_at(at) << 32) + m * bits_at(at + 32) + (m * bits_at(at + 64) >> 32);
  *quadrant = (uint32_t)((phase + ((uint64_t)1 << 61)) >> 62) & 3u;
  phase -= (uint64_t)*quadrant << 62;
  high = (int32_t)(uint32_t)(phase >> 32);
  if (high >= 1 << 26 || high < -(1 << 26)) { /* 32 bits are enough: the usual case, and faster */
    r = (float)high * 1.46291808e-09f; /* pi/2 * 2^-30 */
  } else {
    r = phase >> 63 != 0 ? -(float)(~phase + 1) : (float)phase;
    r *= 3.4061216e-19f; /* pi/2 * 2^-62 */
  }
  if (v < 0.0f) {
    *quadrant = (0u - *quadrant) & 3u;
    r = -r;
  }
  return r;
}

static float sine(float r) {
  const float u = r * r;
  float p = -0.00019517235341481864f;
  p = p * u + 0.008332177996635437f;
  p = p * u - 0.16666655242443085f;
  return r == 0.0f ? r : r + r * (u * p); /* -0 */
}

static float cosine(float r) {
  const float u = r * r;
  float p = 2.4438379114144482e-05f;
  p = p * u - 0.0013887366512790322f;
  p = p * u + 0.04166664555668831f;
  return (1.0f - 0.5f * u) + u * u * p;
}

static float apply_trigonometric_f32(uint32_t op, float v) {
  uint32_t quadrant;
  float r, y;
  if ((ternc_float_bits(v) & 0x7f800000u) == 0x7f800000u) return v - v; /* NaN */
  r = reduced(v, &quadrant);
  if (op == TRIGONOMETRIC_TAN) {
    return (quadrant & 1u) != 0 ? -cosine(r) / sine(r) : sine(r) / cosine(r);
  }
  if (op == TRIGONOMETRIC_COS) quadrant++;
  y = (quadrant & 1u) != 0 ? cosine(r) : sine(r);
  return (quadrant & 2u) != 0 ? -y : y;
}

static ternc_status check_trigonometric_f32(const ternc_op *op) {
  const ternc_trigonometric_f32_args *args = (const ternc_trigonometric_f32_args *)op->args;
  if (args->op >= TRIGONOMETRIC_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_trigonometric_f32(const ternc_op *op) {
  return ((const ternc_trigonometric_f32_args *)op->args)->count;
}

static void run_trigonometric_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_trigonometric_f32_args args = *(const ternc_trigonometric_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_trigonometric_f32(args.op, x[begin]);
}

TERNC_KERNEL(trigonometric_f32, check_trigonometric_f32, rows_trigonometric_f32, run_trigonometric_f32)

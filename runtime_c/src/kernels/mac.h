/* Template: what convolution and dense kernels of one number format share. No include guard: it is
 * included (by conv2d.h and dense.h) once per kernel, with
 *   MAC_NAME  the instruction
 *   MAC_X     activations: MAC_F32, MAC_I8 or MAC_I16
 *   MAC_W     weights: MAC_F32, MAC_I8 or MAC_T2 (2-bit ternary)
 *   MAC_Y     output: MAC_F32, MAC_I8 or MAC_I16 (int16 or, as its tensor says, int8)
 * Every function is named after the instruction, so that kernels may share a translation unit.
 *
 * Sums. Sums over int8 are exact modulo 2^32: the compiler proves that they fit, and a hostile blob
 * only wraps. Sums over int16 are exact modulo 2^64: parts of MAC_PART terms in 32 bits, which those
 * cannot leave, added up in 64. Float sums use four partial sums in an order that depends on the operands' shapes
 * alone; zero ternary weights are skipped (0 * inf counts as 0). */
#include "../ternc_arith.h"

#define MAC_F32 1
#define MAC_I8 2
#define MAC_T2 3
#define MAC_I16 4
#define MAC_PASTE2(a, b) a##_##b
#define MAC_PASTE(a, b) MAC_PASTE2(a, b)
#define MAC_FN(f) MAC_PASTE(f, MAC_NAME)
#define MAC_ARGS MAC_PASTE(MAC_PASTE(ternc, MAC_NAME), args)

#if MAC_X == MAC_I8
#include "dot_simd.h"
#endif

#if MAC_X == MAC_F32
#define MAC_X_TYPE float
#define MAC_SUM float
#define MAC_X_DTYPE TERNC_F32
#elif MAC_X == MAC_I16
#define MAC_X_TYPE int16_t
#define MAC_SUM uint64_t
#define MAC_X_DTYPE TERNC_I16
/* 511*2^15*2^7 and 2^14*2^15 are below 2^31. */
#define MAC_PART (MAC_W == MAC_T2 ? 16384u : 511u)
#else
#define MAC_X_TYPE int8_t
#define MAC_SUM uint32_t
#define MAC_X_DTYPE TERNC_I8
#endif

#if MAC_W == MAC_F32
#define MAC_W_TYPE float
#define MAC_W_DTYPE TERNC_F32
#elif MAC_W == MAC_I8
#define MAC_W_TYPE int8_t
#define MAC_W_DTYPE TERNC_I8
#else
#define MAC_W_TYPE uint8_t
#define MAC_W_DTYPE TERNC_U8
#endif

#if MAC_Y == MAC_F32
#define MAC_Y_TYPE float
#define MAC_Y_DTYPE TERNC_F32
#define MAC_C_TYPE float /* of the multipliers and offsets */
#elif MAC_Y == MAC_I16
#include "wide.h"
#define MAC_Y_TYPE void
#define MAC_C_TYPE int32_t
#else
#define MAC_Y_TYPE int8_t
#define MAC_Y_DTYPE TERNC_I8
#define MAC_C_TYPE int32_t
#endif

/* Where the operands are; NULL when absent. */
typedef struct {
  const MAC_X_TYPE *x;
  const MAC_W_TYPE *w;
  const int32_t *w_zero;
  const MAC_C_TYPE *m, *c;
  MAC_Y_TYPE *y;
#if MAC_Y == MAC_I16
  int narrow; /* y is int8 */
#endif
} MAC_FN(mac);

static MAC_FN(mac) MAC_FN(bind)(const ternc_op *op, const MAC_ARGS *args) {
  MAC_FN(mac) k;
  k.x = (const MAC_X_TYPE *)ternc_data(op, args->x);
  k.w = (const MAC_W_TYPE *)ternc_data(op, args->w);
#if MAC_X != MAC_F32 && MAC_W == MAC_I8
  k.w_zero = (const int32_t *)ternc_data(op, args->w_zero);
#else
  k.w_zero = NULL;
#endif
#if MAC_W == MAC_F32
  k.m = NULL;
#else
  k.m = (const MAC_C_TYPE *)ternc_data(op, args->m);
#endif
#if MAC_Y == MAC_F32
  k.c = (const MAC_C_TYPE *)ternc_data(op, args->b);
#else
  k.c = (const MAC_C_TYPE *)ternc_data(op, args->c);
#endif
  k.y = (MAC_Y_TYPE *)ternc_data(op, args->y);
#if MAC_Y == MAC_I16
  k.narrow = ternc_is_narrow(op, args->y);
#endif
  return k;
}

/* Whether every tensor holds what the kernel reads or writes; `outputs` is the channels of y. */
static int MAC_FN(fits)(const ternc_op *op, const MAC_ARGS *args, uint64_t x_count,
                        uint64_t w_count, uint32_t outputs, uint64_t y_count) {
  if (w_count > 0x7fffffffu) return 0; /* weight indices fit 32 bits */
  if (ternc_expect(op, args->x, MAC_X_DTYPE, x_count) ||
      ternc_expect(op, args->w, MAC_W_DTYPE,
                   MAC_W == MAC_T2 ? ternc_t2_bytes(w_count) : w_count)) {
    return 0;
  }
#if MAC_Y == MAC_I16
  if (!ternc_wide_fits(op, args->y, y_count, args->lo, args->hi)) return 0;
#else
  if (ternc_expect(op, args->y, MAC_Y_DTYPE, y_count)) return 0;
#endif
#if MAC_X != MAC_F32 && MAC_W == MAC_I8
  if (ternc_expect_optional(op, args->w_zero, TERNC_I32, outputs)) return 0;
#endif
#if MAC_W != MAC_F32
  if (ternc_expect(op, args->m, MAC_Y == MAC_F32 ? TERNC_F32 : TERNC_I32, outputs)) return 0;
#endif
#if MAC_Y == MAC_I16
  return !ternc_expect(op, args->c, TERNC_I32, outputs) && args->shift <= TERNC_MAX_SHIFT;
#elif MAC_Y == MAC_I8
  return !ternc_expect(op, args->c, TERNC_I32, outputs) &&
         ternc_is_requant(args->shift, args->lo, args->hi);
#elif MAC_X == MAC_I8
  return !ternc_expect(op, args->b, TERNC_F32, outputs);
#else
  return !ternc_expect_optional(op, args->b, TERNC_F32, outputs);
#endif
}

/* The zero point of output o's weights. */
static inline uint32_t MAC_FN(zero)(const MAC_FN(mac) *k, uint32_t o) {
  return k->w_zero == NULL ? 0 : (uint32_t)k->w_zero[o];
}

#if MAC_X == MAC_F32
/* sum + x * w[at] */
static inline float MAC_FN(add)(float sum, float x, const MAC_W_TYPE *w, size_t at) {
#if MAC_W == MAC_T2
  const uint32_t code = (uint32_t)w[at >> 2] >> (6u - 2u * (at & 3u)) & 3u;
  return code == 1u ? sum + x : code == 2u ? sum - x : sum;
#else
  return sum + x * (float)w[at];
#endif
}
#endif

#if MAC_X == MAC_I16
/* The sum of a part: n <= MAC_PART terms. */
static inline int32_t MAC_FN(part)(const int16_t *x, size_t x_step, const MAC_W_TYPE *w, size_t at,
                                   size_t w_step, uint32_t n) {
  int32_t sum = 0;
  size_t i = 0;
#if MAC_W == MAC_T2
  for (; i < n && (w_step != 1 || ((at + i) & 3u) != 0); i++) {
    sum += x[i * x_step] * ternc_t2(w, at + i * w_step);
  }
  for (; n - i >= 4; i += 4) { /* whole bytes */
    const int32_t codes = w[(at + i) >> 2];
    if (codes == 0) continue;
    sum += x[i * x_step] * ((codes >> 6 & 1) - (codes >> 7)) +
           x[(i + 1) * x_step] * ((codes >> 4 & 1) - (codes >> 5 & 1)) +
           x[(i + 2) * x_step] * ((codes >> 2 & 1) - (codes >> 3 & 1)) +
           x[(i + 3) * x_step] * ((codes & 1) - (codes >> 1 & 1));
  }
  for (; i < n; i++) sum += x[i * x_step] * ternc_t2(w, at + i);
#else
  w += at;
  for (; x_step == 1 && w_step == 1 && n - i >= 4; i += 4) {
    sum += x[i] * w[i] + x[i + 1] * w[i + 1] + x[i + 2] * w[i + 2] + x[i + 3] * w[i + 3];
  }
  for (; i < n; i++) sum += x[i * x_step] * w[i * w_step];
#endif
  return sum;
}
#endif

/* Sum over n of x[i*x_step] * (w[at + i*w_step] - zero). */
static inline MAC_SUM MAC_FN(dot)(const MAC_X_TYPE *x, size_t x_step, const MAC_W_TYPE *w,
                                  size_t at, size_t w_step, uint32_t n, uint32_t zero) {
#if MAC_X == MAC_F32
  float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
  size_t i = 0;
  for (; n - i >= 4; i += 4) {
    s0 = MAC_FN(add)(s0, x[i * x_step], w, at + i * w_step);
    s1 = MAC_FN(add)(s1, x[(i + 1) * x_step], w, at + (i + 1) * w_step);
    s2 = MAC_FN(add)(s2, x[(i + 2) * x_step], w, at + (i + 2) * w_step);
    s3 = MAC_FN(add)(s3, x[(i + 3) * x_step], w, at + (i + 3) * w_step);
  }
  for (; i < n; i++) s0 = MAC_FN(add)(s0, x[i * x_step], w, at + i * w_step);
  (void)zero;
  return (s0 + s1) + (s2 + s3);
#elif MAC_X == MAC_I16
  uint64_t total = 0;
  while (n > 0) {
    const uint32_t part = n < MAC_PART ? n : MAC_PART;
    total += (uint64_t)(int64_t)MAC_FN(part)(x, x_step, w, at, w_step, part);
    if (zero != 0) {
      int32_t sum = 0;
      size_t i;
      for (i = 0; i < part; i++) sum += x[i * x_step];
      total -= (uint64_t)((int64_t)(int32_t)zero * sum);
    }
    x += part * x_step;
    at += part * w_step;
    n -= part;
  }
  return total;
#elif MAC_W == MAC_T2
  uint32_t sum = 0;
  size_t i = 0;
  for (; i < n && (w_step != 1 || ((at + i) & 3u) != 0); i++) {
    sum += (uint32_t)(x[i * x_step] * ternc_t2(w, at + i * w_step));
  }
#ifdef TERNC_DOT_SIMD
  if (x_step == 1) i += ternc_simd_t2(x + i, w + ((at + i) >> 2), n - i, &sum);
#endif
  for (; n - i >= 4; i += 4) { /* whole bytes */
    const int32_t codes = w[(at + i) >> 2];
    if (codes == 0) continue;
    sum += (uint32_t)(x[i * x_step] * ((codes >> 6 & 1) - (codes >> 7)) +
                      x[(i + 1) * x_step] * ((codes >> 4 & 1) - (codes >> 5 & 1)) +
                      x[(i + 2) * x_step] * ((codes >> 2 & 1) - (codes >> 3 & 1)) +
                      x[(i + 3) * x_step] * ((codes & 1) - (codes >> 1 & 1)));
  }
  for (; i < n; i++) sum += (uint32_t)(x[i * x_step] * ternc_t2(w, at + i));
  (void)zero;
  return sum;
#else
  uint32_t sum = 0;
  size_t i = 0;
#ifdef TERNC_DOT_SIMD
  if (x_step == 1 && w_step == 1) i = ternc_simd_i8(x, w + at, n, &sum);
#endif
  for (; i < n; i++) sum += (uint32_t)(x[i * x_step] * w[at + i * w_step]);
  if (zero != 0) {
    for (i = 0; i < n; i++) {
      const int32_t v = x[i * x_step];
      sum -= zero * (uint32_t)v;
    }
  }
  return sum;
#endif
}

/* Writes element `at` of y, of channel o. */
static inline void MAC_FN(store)(const MAC_FN(mac) *k, const MAC_ARGS *args, size_t at, uint32_t o,
                                 MAC_SUM sum) {
#if MAC_Y == MAC_I16
  ternc_put(k->y, at, k->narrow,
            ternc_requant_wide((int64_t)sum, k->m[o], k->c[o], args->shift, args->lo, args->hi));
#elif MAC_Y == MAC_I8
  k->y[at] = (int8_t)ternc_requant((int32_t)sum, k->m[o], k->c[o], args->shift, args->lo, args->hi);
#else
#if MAC_X == MAC_I8
  float v = (float)(int32_t)sum;
#else
  float v = sum;
#endif
  if (k->m != NULL) v *= k->m[o];
  if (k->c != NULL) v += k->c[o];
  k->y[at] = ternc_clampf(v, args->lo, args->hi);
#endif
}

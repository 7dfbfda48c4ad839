/* Where the host multiplies many bytes at a time (AVX2, NEON): the whole blocks of a dot product of
 * int8 activations (internal). Chips do not have these instructions, and nothing of this is compiled
 * for them. Sums are modulo 2^32, as those of the plain loops; each function returns how many elements
 * it took, and leaves its sums alone when that is none. */
#ifndef TERNC_DOT_SIMD_H
#define TERNC_DOT_SIMD_H

#include "../ternc_kernel.h"

#if defined(TERNC_NO_SIMD)
/* Only the plain loops. */
#elif (defined(__GNUC__) || defined(__clang__)) && (defined(__x86_64__) || defined(__i386__))
#define TERNC_DOT_SIMD
#include <immintrin.h>

#define TERNC_AVX2 static __attribute__((target("avx2"), noinline))

__attribute__((target("avx2"))) static inline uint32_t ternc_avx2_sum(__m256i v) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1));
  return (uint32_t)_mm_cvtsi128_si32(sum);
}

/* Weights times activations that lie side by side, where `codes` has each byte of weights in the four
 * lanes of its weights: a mask leaves the bit that says +1, or the one that says -1. Sums of two
 * bytes fit 16 bits, and so does their difference. */
__attribute__((target("avx2"))) static inline __m256i ternc_avx2_products(__m256i v,
                                                                          __m256i codes) {
  const __m256i plus = _mm256_set1_epi32(0x01041040), minus = _mm256_set1_epi32(0x02082080);
  const __m256i ones = _mm256_set1_epi8(1), pairs = _mm256_set1_epi16(1);
  const __m256i is_plus = _mm256_cmpeq_epi8(_mm256_and_si256(codes, plus), plus);
  const __m256i is_minus = _mm256_cmpeq_epi8(_mm256_and_si256(codes, minus), minus);
  const __m256i added = _mm256_maddubs_epi16(ones, _mm256_and_si256(v, is_plus));
  const __m256i taken = _mm256_maddubs_epi16(ones, _mm256_and_si256(v, is_minus));
  return _mm256_madd_epi16(_mm256_sub_epi16(added, taken), pairs);
}

/* 32 weights are eight bytes, 16 are four. */
TERNC_AVX2 TERNC_UNUSED size_t ternc_avx2_t2(const int8_t *x, const uint8_t *w, size_t n,
                                             uint32_t *sum) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4,
                                          4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
  __m256i total = _mm256_setzero_si256();
  size_t i;
  for (i = 0; n - i >= 32; i += 32, w += 8) {
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)w);
    const __m256i codes = _mm256_shuffle_epi8(_mm256_broadcastq_epi64(bytes), spread);
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
    total = _mm256_add_epi32(total, ternc_avx2_products(v, codes));
  }
  if (n - i >= 16) {
    const __m128i bytes = _mm_loadu_si32(w);
    const __m128i codes = _mm_shuffle_epi8(bytes, _mm256_castsi256_si128(spread));
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
    total = _mm256_add_epi32(total, ternc_avx2_products(_mm256_zextsi128_si256(v),
                                                        _mm256_zextsi128_si256(codes)));
    i += 16;
  }
  *sum += ternc_avx2_sum(total);
  return i;
}

TERNC_AVX2 TERNC_UNUSED size_t ternc_avx2_i8(const int8_t *x, const int8_t *w, size_t n,
                                             uint32_t *sum) {
  __m256i total = _mm256_setzero_si256();
  size_t i;
  for (i = 0; n - i >= 16; i += 16) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
    const __m128i u = _mm_loadu_si128((const __m128i *)(const void *)(w + i));
    total = _mm256_add_epi32(
        total, _mm256_madd_epi16(_mm256_cvtepi8_epi16(v), _mm256_cvtepi8_epi16(u)));
  }
  *sum += ternc_avx2_sum(total);
  return i;
}

/* Four products of each of four outputs, whose weights lie side by side in 16 bits: two sums each. */
__attribute__((target("avx2"))) static inline __m256i ternc_avx2_eight(const int8_t *x, __m256i low,
                                                                       __m256i high) {
  const __m128i v = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)x));
  return _mm256_add_epi32(
      _mm256_madd_epi16(_mm256_broadcastq_epi64(v), low),
      _mm256_madd_epi16(_mm256_broadcastq_epi64(_mm_unpackhi_epi64(v, v)), high));
}

/* Four outputs of a row and, unless NULL, of a second one; weights are [n][4]. Fills `sums`, the
 * rows' in turn. */
TERNC_AVX2 TERNC_UNUSED size_t ternc_avx2_four(const int8_t *x, const int8_t *x_2, const int8_t *w,
                                               size_t n, uint32_t *sums) {
  const __m256i by_output = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
                                             0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m256i total = _mm256_setzero_si256(), total_2 = total;
  size_t i;
  for (i = 0; n - i >= 8; i += 8, w += 32) {
    const __m256i loaded = _mm256_loadu_si256((const __m256i *)(const void *)w);
    const __m256i bytes = _mm256_shuffle_epi8(loaded, by_output);
    const __m256i low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes));
    const __m256i high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1));
    total = _mm256_add_epi32(total, ternc_avx2_eight(x + i, low, high));
    if (x_2 != NULL) total_2 = _mm256_add_epi32(total_2, ternc_avx2_eight(x_2 + i, low, high));
  }
  total = _mm256_hadd_epi32(total, total_2); /* two outputs in each half, row by row */
  if (x_2 != NULL) {
    _mm256_storeu_si256((__m256i *)(void *)sums, _mm256_shuffle_epi32(total, 0xd8));
  } else {
    total = _mm256_permute4x64_epi64(total, 0x08);
    _mm_storeu_si128((__m128i *)(void *)sums, _mm256_castsi256_si128(total));
  }
  return i;
}

static inline size_t ternc_simd_t2(const int8_t *x, const uint8_t *w, size_t n, uint32_t *sum) {
  return n >= 16 && __builtin_cpu_supports("avx2") ? ternc_avx2_t2(x, w, n, sum) : 0;
}

static inline size_t ternc_simd_i8(const int8_t *x, const int8_t *w, size_t n, uint32_t *sum) {
  return n >= 16 && __builtin_cpu_supports("avx2") ? ternc_avx2_i8(x, w, n, sum) : 0;
}

static inline size_t ternc_simd_four(const int8_t *x, const int8_t *x_2, const int8_t *w, size_t n,
                                     uint32_t *sums) {
  return n >= 8 && __builtin_cpu_supports("avx2") ? ternc_avx2_four(x, x_2, w, n, sums) : 0;
}

#undef TERNC_AVX2
#elif defined(__aarch64__)
#define TERNC_DOT_SIMD
#include <arm_neon.h>

/* 16 weights are four bytes: each is copied to four lanes, where a mask leaves the bit that says
 * +1, or the one that says -1. */
static inline size_t ternc_simd_t2(const int8_t *x, const uint8_t *w, size_t n, uint32_t *sum) {
  static const uint8_t places[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const uint8x16_t spread = vld1q_u8(places);
  const uint8x16_t plus = vreinterpretq_u8_u32(vdupq_n_u32(0x01041040));
  const uint8x16_t minus = vreinterpretq_u8_u32(vdupq_n_u32(0x02082080));
  int32x4_t total = vdupq_n_s32(0);
  size_t i;
  for (i = 0; n - i >= 16; i += 16, w += 4) {
    const uint32_t word = (uint32_t)w[0] | (uint32_t)w[1] << 8 | (uint32_t)w[2] << 16 |
                          (uint32_t)w[3] << 24;
    const uint8x16_t codes = vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), spread);
    const uint8x16_t v = vreinterpretq_u8_s8(vld1q_s8(x + i));
    const int8x16_t added = vreinterpretq_s8_u8(vandq_u8(v, vtstq_u8(codes, plus)));
    const int8x16_t taken = vreinterpretq_s8_u8(vandq_u8(v, vtstq_u8(codes, minus)));
    total = vpadalq_s16(total, vsubq_s16(vpaddlq_s8(added), vpaddlq_s8(taken)));
  }
  *sum += (uint32_t)vaddvq_s32(total);
  return i;
}

/* Two products of bytes, 2^14 at most each, do not fit 16 bits: they are added in 32. */
static inline size_t ternc_simd_i8(const int8_t *x, const int8_t *w, size_t n, uint32_t *sum) {
  int32x4_t total = vdupq_n_s32(0);
  size_t i;
  for (i = 0; n - i >= 16; i += 16) {
    const int8x16_t v = vld1q_s8(x + i), u = vld1q_s8(w + i);
    total = vpadalq_s16(total, vmull_s8(vget_low_s8(v), vget_low_s8(u)));
    total = vpadalq_s16(total, vmull_high_s8(v, u));
  }
  *sum += (uint32_t)vaddvq_s32(total);
  return i;
}

/* Sixteen elements of a row times four outputs' weights, each output's in a vector of its own. */
static inline void ternc_neon_four(const int8_t *x, int8x16x4_t w, int32x4_t *sums) {
  const int8x16_t v = vld1q_s8(x);
  int o;
  for (o = 0; o < 4; o++) {
    sums[o] = vpadalq_s16(sums[o], vmull_s8(vget_low_s8(v), vget_low_s8(w.val[o])));
    sums[o] = vpadalq_s16(sums[o], vmull_high_s8(v, w.val[o]));
  }
}

/* Four outputs of a row and, unless NULL, of a second one; weights are [n][4]. Fills `sums`, the
 * rows' in turn. */
static inline size_t ternc_simd_four(const int8_t *x, const int8_t *x_2, const int8_t *w, size_t n,
                                     uint32_t *sums) {
  const int rows = x_2 != NULL ? 2 : 1;
  int32x4_t total[2][4];
  size_t i;
  int o;
  if (n < 16) return 0;
  for (o = 0; o < 4; o++) total[0][o] = total[1][o] = vdupq_n_s32(0);
  for (i = 0; n - i >= 16; i += 16, w += 64) {
    const int8x16x4_t weights = vld4q_s8(w);
    ternc_neon_four(x + i, weights, total[0]);
    if (x_2 != NULL) ternc_neon_four(x_2 + i, weights, total[1]);
  }
  for (o = 0; o < 4; o++) {
    sums[rows * o] = (uint32_t)vaddvq_s32(total[0][o]);
    if (x_2 != NULL) sums[rows * o + 1] = (uint32_t)vaddvq_s32(total[1][o]);
  }
  return i;
}
#endif

#endif

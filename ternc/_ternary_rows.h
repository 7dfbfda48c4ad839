/* A row of packed ternary weights times some samples, in float32: portable, AVX2 and NEON forms. */
#ifndef TERNC_TERNARY_ROWS_H
#define TERNC_TERNARY_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define TERNC_AVX2
#include <immintrin.h>
#elif defined(__aarch64__)
#define TERNC_NEON
#include <arm_neon.h>
#endif

/* Samples that one pass over a row serves. */
#define SAMPLES 4

/* One row times `count` samples, at most SAMPLES; sample i begins at x + i * columns. */
typedef void (*row_fn)(const uint8_t *row, const float *x, size_t columns, int count, float *sums);

/* The weight of each code; 11 does not occur in what pack_ternary writes. */
static const float VALUE[4] = {0.0f, 1.0f, -1.0f, 0.0f};

static float tail(const uint8_t *row, const float *x, size_t from, size_t columns) {
  float sum = 0.0f;
  size_t i;
  for (i = from; i < columns; i++) sum += VALUE[(row[i / 4] >> (6 - 2 * (i % 4))) & 3] * x[i];
  return sum;
}

static void row_portable(const uint8_t *row, const float *x, size_t columns, int count,
                         float *sums) {
  const size_t whole = columns / 4;
  int sample;
  for (sample = 0; sample < count; sample++, x += columns) {
    float sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;
    size_t i;
    for (i = 0; i < whole; i++) {
      const unsigned codes = row[i];
      sum0 += VALUE[codes >> 6] * x[4 * i];
      sum1 += VALUE[(codes >> 4) & 3] * x[4 * i + 1];
      sum2 += VALUE[(codes >> 2) & 3] * x[4 * i + 2];
      sum3 += VALUE[codes & 3] * x[4 * i + 3];
    }
    sums[sample] = (sum0 + sum1) + (sum2 + sum3) + tail(row, x, 4 * whole, columns);
  }
}

#ifdef TERNC_AVX2
#define AVX2 __attribute__((target("avx2,fma")))
/* at -O2 a loop over an array of registers would put them into memory */
#define UNROLL _Pragma("GCC unroll 4")

AVX2 static float add_lanes(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* Sixteen weights from four bytes: the word goes to all lanes, each lane shifts its code down to
 * bits 0 and 1, and vpermilps, which reads just these, looks the weight up. */
AVX2 static inline void row_some(const uint8_t *row, const float *x, size_t columns, int count,
                                 float *sums) {
  const __m256i first = _mm256_setr_epi32(6, 4, 2, 0, 14, 12, 10, 8);
  const __m256i second = _mm256_setr_epi32(22, 20, 18, 16, 30, 28, 26, 24);
  const __m256 table = _mm256_setr_ps(0, 1, -1, 0, 0, 1, -1, 0);
  const size_t whole = columns & ~(size_t)15;
  __m256 low[SAMPLES], high[SAMPLES];
  size_t i;
  int sample;
  UNROLL
  for (sample = 0; sample < count; sample++) low[sample] = high[sample] = _mm256_setzero_ps();
  for (i = 0; i < whole; i += 16) {
    int32_t word;
    __m256i codes;
    __m256 w0, w1;
    memcpy(&word, row + i / 4, 4);
    codes = _mm256_set1_epi32(word);
    w0 = _mm256_permutevar_ps(table, _mm256_srlv_epi32(codes, first));
    w1 = _mm256_permutevar_ps(table, _mm256_srlv_epi32(codes, second));
    UNROLL
    for (sample = 0; sample < count; sample++) {
      const float *at = x + (size_t)sample * columns + i;
      low[sample] = _mm256_fmadd_ps(w0, _mm256_loadu_ps(at), low[sample]);
      high[sample] = _mm256_fmadd_ps(w1, _mm256_loadu_ps(at + 8), high[sample]);
    }
  }
  UNROLL
  for (sample = 0; sample < count; sample++) {
    sums[sample] = add_lanes(_mm256_add_ps(low[sample], high[sample])) +
                   tail(row, x + (size_t)sample * columns, whole, columns);
  }
}

/* A constant count lets the compiler keep the accumulators in registers. */
AVX2 static void row_avx2(const uint8_t *row, const float *x, size_t columns, int count,
                          float *sums) {
  switch (count) {
    case 1: row_some(row, x, columns, 1, sums); break;
    case 2: row_some(row, x, columns, 2, sums); break;
    case 3: row_some(row, x, columns, 3, sums); break;
    default: row_some(row, x, columns, SAMPLES, sums); break;
  }
}
#else
#define row_avx2 NULL
#endif

#ifdef TERNC_NEON
/* Four weights from the codes that `shifts` brings down to bits 0 and 1: bit 0 less bit 1. */
static inline float32x4_t four_weights(uint32x4_t codes, int32x4_t shifts) {
  const uint32x4_t down = vshlq_u32(codes, shifts), one = vdupq_n_u32(1);
  const uint32x4_t plus = vandq_u32(down, one), minus = vandq_u32(vshrq_n_u32(down, 1), one);
  return vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(plus), vreinterpretq_s32_u32(minus)));
}

/* Sixteen weights from four bytes, the first in the uppermost bits of the first byte. */
static void row_neon(const uint8_t *row, const float *x, size_t columns, int count, float *sums) {
  static const int32_t shifts[4] = {-6, -4, -2, 0};
  const int32x4_t shift = vld1q_s32(shifts);
  const size_t whole = columns & ~(size_t)15;
  float32x4_t low[SAMPLES], high[SAMPLES];
  size_t i;
  int sample;
  for (sample = 0; sample < SAMPLES; sample++) low[sample] = high[sample] = vdupq_n_f32(0.0f);
  for (i = 0; i < whole; i += 16) {
    const uint8_t *codes = row + i / 4;
    const float32x4_t w0 = four_weights(vdupq_n_u32(codes[0]), shift);
    const float32x4_t w1 = four_weights(vdupq_n_u32(codes[1]), shift);
    const float32x4_t w2 = four_weights(vdupq_n_u32(codes[2]), shift);
    const float32x4_t w3 = four_weights(vdupq_n_u32(codes[3]), shift);
    for (sample = 0; sample < count; sample++) {
      const float *at = x + (size_t)sample * columns + i;
      low[sample] = vfmaq_f32(low[sample], w0, vld1q_f32(at));
      high[sample] = vfmaq_f32(high[sample], w1, vld1q_f32(at + 4));
      low[sample] = vfmaq_f32(low[sample], w2, vld1q_f32(at + 8));
      high[sample] = vfmaq_f32(high[sample], w3, vld1q_f32(at + 12));
    }
  }
  for (sample = 0; sample < count; sample++) {
    sums[sample] = vaddvq_f32(vaddq_f32(low[sample], high[sample])) +
                   tail(row, x + (size_t)sample * columns, whole, columns);
  }
}
#endif

/* The best form for this CPU. */
static row_fn fastest_row(void) {
#if defined(TERNC_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? row_avx2 : row_portable;
#elif defined(TERNC_NEON)
  return row_neon; /* every 64-bit Arm has it */
#else
  return row_portable;
#endif
}

#endif

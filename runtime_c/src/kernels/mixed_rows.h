/* Rows of weights of which each is int8 or ternary (internal).
 *
 * For every 16 rows there are 4 bytes: a bit for each, the first lowest, that is 1 where the row is
 * ternary, and how many ternary rows come before these 16; both 16 bits, little-endian. Then come
 * the rows: int8 weights, or ternary codes, four to a byte, from a byte boundary on. */
#ifndef TERNC_MIXED_ROWS_H
#define TERNC_MIXED_ROWS_H

#include "../ternc_arith.h"

#define TERNC_MIXED_GROUP 16u
#define TERNC_MIXED_RECORD 4u

/* One row: its weights, and whether they are codes. */
typedef struct {
  const uint8_t *at;
  int ternary;
} ternc_mixed_row;

static inline uint32_t ternc_mixed_bits(const uint8_t *record) {
  return record[0] | (uint32_t)record[1] << 8;
}

static inline uint32_t ternc_mixed_before(const uint8_t *record) {
  return record[2] | (uint32_t)record[3] << 8;
}

/* How many of 16 bits are 1. */
static inline uint32_t ternc_ones(uint32_t bits) {
  bits -= bits >> 1 & 0x5555u;
  bits = (bits & 0x3333u) + (bits >> 2 & 0x3333u);
  bits = (bits + (bits >> 4)) & 0x0f0fu;
  return (bits + (bits >> 8)) & 31u;
}

static inline size_t ternc_mixed_header(uint64_t rows) {
  return (size_t)(rows / TERNC_MIXED_GROUP + (rows % TERNC_MIXED_GROUP != 0)) * TERNC_MIXED_RECORD;
}

/* Row `row` of `rows` with n weights each. */
static inline ternc_mixed_row ternc_mixed_at(const uint8_t *w, size_t rows, size_t row, uint32_t n) {
  const uint8_t *const record = w + row / TERNC_MIXED_GROUP * TERNC_MIXED_RECORD;
  const uint32_t place = (uint32_t)(row % TERNC_MIXED_GROUP), bits = ternc_mixed_bits(record);
  const size_t packed = ternc_mixed_before(record) + ternc_ones(bits & ((1u << place) - 1u));
  ternc_mixed_row found;
  found.at = w + ternc_mixed_header(rows) + packed * (size_t)ternc_t2_bytes(n) + (row - packed) * n;
  found.ternary = (int)(bits >> place & 1u);
  return found;
}

/* Whether the records of `size` bytes at w are right for so many rows, and the rows are inside. */
static inline int ternc_mixed_fits(const uint8_t *w, uint64_t size, uint64_t rows, uint64_t n) {
  const size_t header = ternc_mixed_header(rows > 0xffffu ? 0 : rows);
  uint64_t packed = 0;
  size_t at;
  if (rows > 0xffffu || header > size) return 0;
  for (at = 0; at < header; at += TERNC_MIXED_RECORD) {
    const uint64_t left = rows - at / TERNC_MIXED_RECORD * TERNC_MIXED_GROUP;
    const uint32_t bits = ternc_mixed_bits(w + at);
    if (ternc_mixed_before(w + at) != packed || (left < TERNC_MIXED_GROUP && bits >> left != 0)) {
      return 0;
    }
    packed += ternc_ones(bits);
  }
  return packed * ternc_t2_bytes(n) + (rows - packed) * n <= size - header;
}

/* Defines `name`, the sum over i < n of x[i] * row[i], modulo 2^32, for x of `type`. */
#define TERNC_MIXED_DOT(name, type)                                                        \
  static uint32_t name(const type *x, ternc_mixed_row row, uint32_t n) {                   \
    uint32_t sum = 0, i = 0;                                                               \
    if (row.ternary) {                                                                     \
      for (; n - i >= 4; i += 4) {                                                         \
        const int32_t codes = row.at[i >> 2];                                              \
        if (codes == 0) continue;                                                          \
        sum += (uint32_t)(x[i] * ((codes >> 6 & 1) - (codes >> 7)) +                       \
                          x[i + 1] * ((codes >> 4 & 1) - (codes >> 5 & 1)) +               \
                          x[i + 2] * ((codes >> 2 & 1) - (codes >> 3 & 1)) +               \
                          x[i + 3] * ((codes & 1) - (codes >> 1 & 1)));                    \
      }                                                                                    \
      for (; i < n; i++) sum += (uint32_t)(x[i] * ternc_t2(row.at, i));                    \
    } else {                                                                               \
      const int8_t *const w = (const int8_t *)row.at;                                      \
      for (; n - i >= 4; i += 4) {                                                         \
        sum += (uint32_t)(x[i] * w[i] + x[i + 1] * w[i + 1] + x[i + 2] * w[i + 2] +        \
                          x[i + 3] * w[i + 3]);                                            \
      }                                                                                    \
      for (; i < n; i++) sum += (uint32_t)(x[i] * w[i]);                                   \
    }                                                                                      \
    return sum;                                                                            \
  }

#endif

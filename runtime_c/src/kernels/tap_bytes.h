/* Bytes into and out of planes with 8 slots to a word (internal): conv2d_i8_t2_lists. */
#ifndef TERNC_TAP_BYTES_H
#define TERNC_TAP_BYTES_H

#include "tap_strips.h"

#define TERNC_TAP_SIGNS 0x80808080u

/* A rectangle of pixels, to one lane of `channels` slots: `count` on each of `lines` lines. Steps
 * are in bytes. Lanes hold activations plus 128. */
typedef struct {
  uint32_t lines, count, channels;
  size_t x_line, x_step;
  size_t line; /* of the plane */
} ternc_tap_pixels;

/* 8 slots. */
TERNC_INLINE void ternc_tap_put_pixel(const int8_t *from, uint8_t *to) {
  const ternc_word *pixel = (const ternc_word *)(const void *)from;
  const uint32_t low = pixel[0] ^ TERNC_TAP_SIGNS, high = pixel[1] ^ TERNC_TAP_SIGNS;
  to[0] = (uint8_t)low;
  to[4] = (uint8_t)(low >> 8);
  to[8] = (uint8_t)(low >> 16);
  to[12] = (uint8_t)(low >> 24);
  to[16] = (uint8_t)high;
  to[20] = (uint8_t)(high >> 8);
  to[24] = (uint8_t)(high >> 16);
  to[28] = (uint8_t)(high >> 24);
}

static TERNC_NOINLINE void ternc_tap_put(const ternc_tap_pixels *p, const int8_t *x, uint8_t *to) {
  const size_t step = p->x_step, line = p->line, x_line = p->x_line;
  const uint32_t channels = p->channels, odd = p->count & 1u;
  const size_t size = 4 * TERNC_TAP_SLOTS * (size_t)p->count;
  const int words = channels == 8 && (((uintptr_t)x | step | x_line) & 3) == 0;
  uint32_t lines = p->lines, k;
  for (; lines > 0; lines--, x += x_line, to += line) {
    const int8_t *from = x;
    uint8_t *at = to, *const end = to + size;
    if (words) {
      if (odd != 0) {
        ternc_tap_put_pixel(from, at);
        from += step;
        at += 32;
      }
      for (; at != end; at += 64) {
        ternc_tap_put_pixel(from, at);
        from += step;
        ternc_tap_put_pixel(from, at + 32);
        from += step;
      }
    } else {
      for (; at != end; at += 32, from += step) {
        for (k = 0; k < channels; k++) at[4 * k] = (uint8_t)(from[k] ^ -128);
      }
    }
  }
}

/* Where the bytes of some strips go: `count` columns of lane 0, `count_1` of lane 1. */
typedef struct {
  uint32_t strips, count, count_1, channels;
  int32_t lo;         /* is added */
  size_t strip, step; /* of y: from strip to strip, from column to column */
  size_t lane_1;
} ternc_tap_outputs;

/* Columns of 8 channels, as words of four outputs: from both lanes, then from lane 0 alone. */
TERNC_INLINE void ternc_tap_get_words(const ternc_word *from, const ternc_word *end_1,
                                      const ternc_word *end, uint32_t lo, size_t step, int8_t *y,
                                      int8_t *y1) {
  for (; from != end_1; from += 2, y += step, y1 += step) {
    const ternc_word *const from_1 = from + TERNC_TAP_LANE / 4;
    const uint32_t a = from[0] + lo, b = from[1] + lo, c = from_1[0] + lo, d = from_1[1] + lo;
    ternc_word *const to = (ternc_word *)(void *)y, *const to_1 = (ternc_word *)(void *)y1;
    to[0] = a ^ TERNC_TAP_SIGNS;
    to[1] = b ^ TERNC_TAP_SIGNS;
    to_1[0] = c ^ TERNC_TAP_SIGNS;
    to_1[1] = d ^ TERNC_TAP_SIGNS;
  }
  for (; from != end; from += 2, y += step) {
    ternc_word *const to = (ternc_word *)(void *)y;
    to[0] = (from[0] + lo) ^ TERNC_TAP_SIGNS;
    to[1] = (from[1] + lo) ^ TERNC_TAP_SIGNS;
  }
}

static TERNC_NOINLINE void ternc_tap_get(const ternc_tap_outputs *o, const uint8_t *bytes,
                                         int8_t *to) {
  const size_t step = o->step, strip = o->strip;
  const uint32_t channels = o->channels, lo = (uint32_t)(o->lo + 128) * 0x1010101u;
  const uint32_t size = TERNC_TAP_SLOTS * o->count, size_1 = TERNC_TAP_SLOTS * o->count_1;
  int8_t *to_1 = to + o->lane_1;
  const int words = channels == 8 && (((uintptr_t)to | (uintptr_t)to_1 | step | strip) & 3) == 0;
  uint32_t strips = o->strips, i, k;
  for (; strips > 0; strips--, bytes += 2 * TERNC_TAP_LANE, to += strip, to_1 += strip) {
    const ternc_word *const from = (const ternc_word *)(const void *)bytes;
    if (words && lo == 0) {
      ternc_tap_get_words(from, from + size_1 / 4, from + size / 4, 0, step, to, to_1);
    } else if (words) {
      ternc_tap_get_words(from, from + size_1 / 4, from + size / 4, lo, step, to, to_1);
    } else {
      int8_t *y = to, *y1 = to_1;
      for (i = 0; i < size; i += TERNC_TAP_SLOTS, y += step, y1 += step) {
        for (k = 0; k < channels; k++) {
          y[k] = (int8_t)(bytes[i + k] + o->lo);
          if (i < size_1) y1[k] = (int8_t)(bytes[i + k + TERNC_TAP_LANE] + o->lo);
        }
      }
    }
  }
}

#endif

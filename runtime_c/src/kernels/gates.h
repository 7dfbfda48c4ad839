/* The gates of integer recurrent layers, inline (internal): what ternc_math.h declares. */
#ifndef TERNC_GATES_H
#define TERNC_GATES_H

#include "fast.h"

/* min(round(2^15 tanh(i/32)), 32767). */
extern const int16_t ternc_tanh_steps[257];

/* Between two entries the chord is at most 2^-10/8 * 0.77 away; with the roundings and the cap at
 * 32767, |error| <= 4 of 2^-15 (1.2e-4), found for every x. */
TERNC_INLINE int32_t ternc_tanh_gate(int32_t x) {
  const uint32_t a = x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
  const uint32_t step = a >> 11;
  int32_t y = 32767;
  if (step < 256) {
    const int16_t *const at = ternc_tanh_steps + step;
    y = at[0] + (((at[1] - at[0]) * (int32_t)(a & 2047u) + 1024) >> 11);
  }
  return x < 0 ? -y : y;
}

/* (1 + tanh(x/2)) / 2. |error| <= 3 of 2^-15 (9.2e-5), found for every x. */
TERNC_INLINE int32_t ternc_sigmoid_gate(int32_t x) {
  return (ternc_tanh_gate(x >> 1) + 32768) >> 1;
}

/* A state with 15 fraction bits as the product with ternary weights takes it, in units of 1/8191:
 * the sum of four is below 2^15. */
TERNC_INLINE int32_t ternc_state_operand(int32_t h) { return (h * 8191 + 16384) >> 15; }

#endif

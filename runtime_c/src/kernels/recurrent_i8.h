/* Template of the recurrent kernels in integers; parameters as in recurrent.h.
 *
 * h and the gates are Q15 (1.0 reads as 32767), cells have cell_bits fraction bits, and what goes
 * into a sigmoid or tanh has 16. Ternary weights multiply h in units of 1/8191. Products of two Q15 numbers are below 2^30, so that the sum of
 * two and the rounding fit 32 bits. */
#define RNN_X RNN_I8
#include "gates.h"
#include "recurrent.h"

#define RNN_HALF 16384 /* of Q15 */
#define RNN_FAR (1 << 28) /* beyond it every gate is saturated */

#if RNN_W == RNN_MIXED
#define RNN_WEIGHTS(w, row, n) ternc_mixed_at(w, k->rows, row, n), n
#else
#define RNN_WEIGHTS(w, row, n) w, row * n, n
#endif

static int32_t RNN_FN(from_x)(const RNN_FN(tensors) *k, const int8_t *x, size_t row, uint32_t n) {
  return (int32_t)RNN_FN(dot_x)(x, RNN_WEIGHTS(k->w, row, n));
}

static int32_t RNN_FN(from_h)(const RNN_FN(tensors) *k, const int16_t *h, size_t row, uint32_t n) {
  return (int32_t)RNN_FN(dot_h)(h, RNN_WEIGHTS(k->r, row, n));
}

/* Modulo 2^64, where the compiler proves that it fits. */
static int32_t RNN_FN(gate)(int32_t x, int32_t m_w, int32_t h, int32_t m_r, int32_t c,
                            uint32_t shift) {
#if RNN_W == RNN_T2
  /* (x*m_w + ((h*m_r) >> 16) + c) >> shift: on a 32-bit core the look-up form needs one product
   * for each, as x*m_w is small. */
  const uint64_t sum = (uint64_t)((int64_t)x * m_w) + (uint64_t)((int64_t)h * m_r >> 16) +
                       (uint64_t)(int64_t)c;
  return ternc_clamp64((int64_t)sum >> shift, -RNN_FAR, RNN_FAR);
#else
  /* (x*m_w + h*m_r + (c << 16)) >> (16 + shift) */
  const uint64_t sum = (uint64_t)((int64_t)x * m_w) + (uint64_t)((int64_t)h * m_r) +
                       (uint64_t)((int64_t)c * 65536);
  return ternc_clamp64((int64_t)sum >> (16 + shift), -RNN_FAR, RNN_FAR);
#endif
}

static int32_t RNN_FN(row)(const RNN_FN(tensors) *k, const RNN_ARGS *args, const int8_t *x,
                           const int16_t *h, size_t row, size_t bias) {
  return RNN_FN(gate)(RNN_FN(from_x)(k, x, row, args->in_features), k->m_w[row],
                      RNN_FN(from_h)(k, h, row, args->hidden), k->m_r[row], k->b[bias],
                      args->shift);
}

/* h as the weights multiply it: itself, or what is behind all else in the scratch. */
static const int16_t *RNN_FN(operand)(const int16_t *h, uint32_t n, int16_t *gates) {
#if RNN_W == RNN_T2
  int16_t *to = gates + (size_t)RNN_VECTORS * n;
  uint32_t j;
  for (j = 0; j < n; j++) to[j] = (int16_t)ternc_state_operand(h[j]);
  return to;
#else
  (void)n;
  (void)gates;
  return h;
#endif
}

static void RNN_FN(step)(const RNN_FN(tensors) *k, const RNN_ARGS *args, size_t direction,
                         const int8_t *x, int16_t *gates) {
  const size_t H = args->hidden, rows = direction * RNN_GATES * H;
  const size_t biases = direction * RNN_BIASES * H;
  size_t j;
#if RNN_CELL == RNN_LSTM
  const uint32_t bits = args->cell_bits, wider = 16u - bits;
  int16_t *h = gates + 4 * H, *c = h + H;
  const int16_t *from = RNN_FN(operand)(h, args->hidden, gates);
  for (j = 0; j < 4 * H; j++) {
    const int32_t g = RNN_FN(row)(k, args, x, from, rows + j, biases + j);
    gates[j] = (int16_t)(j < 3 * H ? ternc_sigmoid_q15(g) : ternc_tanh_q15(g));
  }
  for (j = 0; j < H; j++) {
    const int32_t added = gates[j] * gates[3 * H + j] >> (15u - bits); /* 15 + bits */
    const int32_t cell = (gates[2 * H + j] * c[j] + added + RNN_HALF) >> 15;
    c[j] = (int16_t)ternc_clamp(cell, -32767, 32767);
    h[j] = (int16_t)((gates[H + j] * ternc_tanh_q15(c[j] * (1 << wider)) + RNN_HALF) >> 15);
  }
#elif RNN_CELL == RNN_GRU
  int16_t *z = gates, *r = z + H, *next = r + H, *h = next + H;
  const int16_t *from = RNN_FN(operand)(h, args->hidden, gates);
  for (j = 0; j < 2 * H; j++) {
    z[j] = (int16_t)ternc_sigmoid_q15(RNN_FN(row)(k, args, x, from, rows + j, biases + j));
  }
  for (j = 0; j < H && !args->linear_before_reset; j++) {
    r[j] = (int16_t)((r[j] * h[j] + RNN_HALF) >> 15);
  }
  if (!args->linear_before_reset) from = RNN_FN(operand)(r, args->hidden, gates);
  for (j = 0; j < H; j++) {
    const size_t row = rows + 2 * H + j, bias = biases + 2 * H + j;
    int32_t g;
    if (args->linear_before_reset) {
      const int32_t from_x = RNN_FN(from_x)(k, x, row, args->in_features);
      const int32_t from_h = RNN_FN(from_h)(k, from, row, args->hidden);
      g = RNN_FN(gate)(from_x, k->m_w[row], 0, 0, k->b[bias], args->shift);
      g += (int32_t)(((int64_t)r[j] * RNN_FN(gate)(0, 0, from_h, k->m_r[row], k->b[bias + H],
                                                   args->shift) + RNN_HALF) >> 15);
    } else {
      g = RNN_FN(row)(k, args, x, from, row, bias);
    }
    next[j] = (int16_t)ternc_tanh_q15(g);
  }
  for (j = 0; j < H; j++) {
    h[j] = (int16_t)(((32768 - z[j]) * next[j] + z[j] * h[j] + RNN_HALF) >> 15);
  }
#else
  int16_t *h = gates + H;
  const int16_t *from = RNN_FN(operand)(h, args->hidden, gates);
  for (j = 0; j < H; j++) {
    gates[j] = (int16_t)ternc_tanh_q15(RNN_FN(row)(k, args, x, from, rows + j, biases + j));
  }
  for (j = 0; j < H; j++) h[j] = gates[j];
#endif
}

static void RNN_FN(emit)(const RNN_FN(tensors) *k, const RNN_ARGS *args, const int16_t *h,
                         size_t at) {
  int8_t *y = k->y + at;
  size_t j;
  for (j = 0; j < args->hidden; j++) {
    y[j] = (int8_t)ternc_requant(h[j], args->out_m, args->out_c, args->out_shift, args->lo,
                                 args->hi);
  }
}

#undef RNN_HALF
#undef RNN_WEIGHTS
#undef RNN_FAR
#include "recurrent_end.h"

/* Template of the recurrent kernels with int16 x, weights of 8 or 2 bits or rows of either; parameters as in
 * recurrent.h.
 *
 * h is Q15 (1.0 reads as 32767), what goes into a gate has 16 fraction bits, cells have cell_bits. A
 * sigmoid is at most 32768, a tanh and h at most 32767: their products fit 32 bits. What a step
 * carries to the next, c of an LSTM and h of a GRU, has 16 more fraction bits. Gates are used as they come: only h, which every row reads, needs a second place. */
#define RNN_X RNN_I16
#include "fast.h"
#include "recurrent.h"

#define RNN_HALF 16384 /* of Q15 */
#define RNN_FAR (1 << 28) /* beyond it every gate is saturated */
#define RNN_CARRY (32767 * 65536) /* what is carried is at most this */

#if RNN_W == RNN_MIXED
#define RNN_DOT_ROW(x, w, row, n) (int32_t)RNN_FN(dot_h)(x, ternc_mixed_at(w, k->rows, row, n), n)
#else
#define RNN_DOT_ROW(x, w, row, n) RNN_FN(dot)(x, w, (row) * (n), n)
/* Sum over i < n of x[i] * w[at + i]: the compiler proves that it fits 32 bits. */
static int32_t RNN_FN(dot)(const int16_t *x, const RNN_W_TYPE *w, size_t at, uint32_t n) {
  uint32_t sum = 0, i = 0;
#if RNN_W == RNN_T2
  for (; i < n && ((at + i) & 3u) != 0; i++) sum += (uint32_t)(x[i] * ternc_t2(w, at + i));
  for (; n - i >= 4; i += 4) { /* whole bytes */
    const int32_t codes = w[(at + i) >> 2];
    if (codes == 0) continue;
    sum += (uint32_t)(x[i] * ((codes >> 6 & 1) - (codes >> 7)) +
                      x[i + 1] * ((codes >> 4 & 1) - (codes >> 5 & 1)) +
                      x[i + 2] * ((codes >> 2 & 1) - (codes >> 3 & 1)) +
                      x[i + 3] * ((codes & 1) - (codes >> 1 & 1)));
  }
  for (; i < n; i++) sum += (uint32_t)(x[i] * ternc_t2(w, at + i));
#else
  w += at;
  for (; n - i >= 4; i += 4) {
    sum += (uint32_t)(x[i] * w[i] + x[i + 1] * w[i + 1] + x[i + 2] * w[i + 2] +
                      x[i + 3] * w[i + 3]);
  }
  for (; i < n; i++) sum += (uint32_t)(x[i] * w[i]);
#endif
  return (int32_t)sum;
}
#endif

/* One step of one direction: what its rows read. */
typedef struct {
  const RNN_FN(tensors) *k;
  const RNN_ARGS *args;
  const int16_t *x;
  size_t row; /* the direction's first */
  const int32_t *c;
} RNN_FN(now);

/* (w.x*m_w + r.h*m_r + (c << 16)) >> (16 + shift), without x or without h where they are NULL;
 * modulo 2^64, where the compiler proves that it fits. */
static TERNC_NOINLINE int32_t RNN_FN(gate)(const RNN_FN(now) *now, const int16_t *x,
                                           const int16_t *h, size_t row, int32_t c) {
  const RNN_FN(tensors) *k = now->k;
  const uint32_t columns = now->args->in_features, hidden = now->args->hidden;
  uint64_t sum = (uint64_t)((int64_t)c * 65536);
  row += now->row;
  if (x != NULL) sum += (uint64_t)((int64_t)RNN_DOT_ROW(x, k->w, row, columns) * k->m_w[row]);
  if (h != NULL) sum += (uint64_t)((int64_t)RNN_DOT_ROW(h, k->r, row, hidden) * k->m_r[row]);
  return ternc_clamp64((int64_t)sum >> (16 + now->args->shift), -RNN_FAR, RNN_FAR);
}

#if RNN_CELL != RNN_PLAIN
/* From state*2^16 + low, by way of the products that make the next one: that, in the same places. */
static int32_t RNN_FN(carry)(int32_t gate, int16_t state, int64_t added, int16_t *next,
                             int16_t *low) {
  const int64_t kept = gate * ((int64_t)state * 65536 + *low);
  const int32_t sum = ternc_clamp64((kept + added + RNN_HALF) >> 15, -RNN_CARRY, RNN_CARRY);
  *next = (int16_t)((sum + 32768) >> 16);
  *low = (int16_t)(sum - *next * 65536);
  return sum;
}

static int32_t RNN_FN(sigmoid)(const RNN_FN(now) *now, const int16_t *h, size_t row) {
  return ternc_sigmoid_i16(RNN_FN(gate)(now, now->x, h, row, now->c[row]));
}
#endif

static void RNN_FN(step)(const RNN_FN(tensors) *k, const RNN_ARGS *args, size_t direction,
                         const int16_t *x, int16_t *scratch) {
  const size_t H = args->hidden;
  RNN_FN(now) now;
  int16_t *next = scratch, *h;
  size_t j;
  now.k = k;
  now.args = args;
  now.x = x;
  now.row = direction * RNN_GATES * H;
  now.c = k->b + direction * RNN_BIASES * H;
#if RNN_CELL == RNN_LSTM
  h = next + 2 * H;
  for (j = 0; j < H; j++) {
    const uint32_t bits = args->cell_bits;
    int16_t *c = h + H + j;
    const int32_t i = RNN_FN(sigmoid)(&now, h, j), o = RNN_FN(sigmoid)(&now, h, H + j);
    const int32_t f = RNN_FN(sigmoid)(&now, h, 2 * H + j);
    const int32_t n = ternc_tanh_i16(RNN_FN(gate)(&now, x, h, 3 * H + j, now.c[3 * H + j]));
    const int64_t added = (int64_t)(i * n) * (2 << bits);
    const int32_t cell = RNN_FN(carry)(f, *c, added, c, next + H + j);
    next[j] = (int16_t)((o * ternc_tanh_i16(cell >> bits) + RNN_HALF) >> 15);
  }
#elif RNN_CELL == RNN_GRU
  int16_t *reset = next;
  const int after = args->linear_before_reset != 0; /* r is applied after the weights */
  next = reset + H;
  h = next + 2 * H;
  for (j = 0; j < H && !after; j++) {
    reset[j] = (int16_t)((RNN_FN(sigmoid)(&now, h, H + j) * h[j] + RNN_HALF) >> 15);
  }
  for (j = 0; j < H; j++) {
    const size_t row = 2 * H + j;
    const int32_t z = RNN_FN(sigmoid)(&now, h, j);
    int32_t g = RNN_FN(gate)(&now, x, after ? NULL : reset, row, now.c[row]);
    if (after) {
      const int32_t r = RNN_FN(sigmoid)(&now, h, H + j);
      const int32_t inner = RNN_FN(gate)(&now, NULL, h, row, now.c[row + H]);
      g += (int32_t)(((int64_t)r * inner + RNN_HALF) >> 15);
    }
    RNN_FN(carry)(z, h[j], (int64_t)((32768 - z) * ternc_tanh_i16(g)) * 65536, next + j,
                  next + H + j);
  }
#else
  h = next + H;
  for (j = 0; j < H; j++) {
    next[j] = (int16_t)ternc_tanh_i16(RNN_FN(gate)(&now, x, h, j, now.c[j]));
  }
#endif
  for (j = 0; j < H; j++) h[j] = next[j];
}

static void RNN_FN(emit)(const RNN_FN(tensors) *k, const RNN_ARGS *args, const int16_t *h,
                         size_t at) {
  size_t j;
  for (j = 0; j < args->hidden; j++) {
    ternc_put(k->y, at + j, k->narrow, ternc_requant(h[j], args->out_m, args->out_c,
                                                     args->out_shift, args->lo, args->hi));
  }
}

#undef RNN_HALF
#undef RNN_FAR
#undef RNN_CARRY
#undef RNN_DOT_ROW
#include "recurrent_end.h"

/* Template of the recurrent kernels in float32; parameters as in recurrent.h. */
#define RNN_X RNN_F32
#include "recurrent.h"

/* What x (or h) adds to gate row `row`, which counts through the directions. */
static float RNN_FN(from_x)(const RNN_FN(tensors) *k, const float *x, size_t row, uint32_t n) {
  const float sum = RNN_FN(dot_x)(x, k->w, row * n, n);
  return k->m_w == NULL ? sum : sum * k->m_w[row];
}

static float RNN_FN(from_h)(const RNN_FN(tensors) *k, const float *h, size_t row, uint32_t n) {
  const float sum = RNN_FN(dot_h)(h, k->r, row * n, n);
  return k->m_r == NULL ? sum : sum * k->m_r[row];
}

static float RNN_FN(bias)(const RNN_FN(tensors) *k, size_t at) {
  return k->b == NULL ? 0.0f : k->b[at];
}

static void RNN_FN(step)(const RNN_FN(tensors) *k, const RNN_ARGS *args, size_t direction,
                         const float *x, float *gates) {
  const uint32_t hidden = args->hidden, n = args->in_features;
  const size_t rows = direction * RNN_GATES * hidden, biases = direction * RNN_BIASES * hidden;
  size_t j;
#if RNN_CELL == RNN_LSTM
  const size_t H = hidden;
  float *h = gates + 4 * H, *c = h + H;
  for (j = 0; j < 4 * H; j++) {
    gates[j] = RNN_FN(from_x)(k, x, rows + j, n) + RNN_FN(from_h)(k, h, rows + j, hidden) +
               RNN_FN(bias)(k, biases + j);
  }
  for (j = 0; j < H; j++) {
    c[j] = ternc_sigmoidf(gates[2 * H + j]) * c[j] +
           ternc_sigmoidf(gates[j]) * ternc_tanhf(gates[3 * H + j]);
    h[j] = ternc_sigmoidf(gates[H + j]) * ternc_tanhf(c[j]);
  }
#elif RNN_CELL == RNN_GRU
  const size_t H = hidden;
  float *z = gates, *r = z + H, *next = r + H, *h = next + H;
  for (j = 0; j < 2 * H; j++) {
    z[j] = ternc_sigmoidf(RNN_FN(from_x)(k, x, rows + j, n) +
                          RNN_FN(from_h)(k, h, rows + j, hidden) + RNN_FN(bias)(k, biases + j));
  }
  for (j = 0; j < H && !args->linear_before_reset; j++) r[j] *= h[j];
  for (j = 0; j < H; j++) {
    const size_t row = 2 * H + j;
    const float from_x = RNN_FN(from_x)(k, x, rows + row, n) + RNN_FN(bias)(k, biases + row);
    const float *reset = args->linear_before_reset ? h : r;
    const float from_h = RNN_FN(from_h)(k, reset, rows + row, hidden) +
                         RNN_FN(bias)(k, biases + row + H);
    next[j] = ternc_tanhf(from_x + (args->linear_before_reset ? r[j] * from_h : from_h));
  }
  for (j = 0; j < H; j++) h[j] = (1.0f - z[j]) * next[j] + z[j] * h[j];
#else
  float *h = gates + hidden;
  for (j = 0; j < hidden; j++) {
    const float g = RNN_FN(from_x)(k, x, rows + j, n) + RNN_FN(from_h)(k, h, rows + j, hidden) +
                    RNN_FN(bias)(k, biases + j);
    gates[j] = args->relu ? (g < 0.0f ? 0.0f : g) : ternc_tanhf(g);
  }
  for (j = 0; j < hidden; j++) h[j] = gates[j];
#endif
}

static void RNN_FN(emit)(const RNN_FN(tensors) *k, const RNN_ARGS *args, const float *h,
                         size_t at) {
  float *y = k->y + at;
  size_t j;
  for (j = 0; j < args->hidden; j++) y[j] = h[j];
}

#include "recurrent_end.h"

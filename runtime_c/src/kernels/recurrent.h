/* Template: what the recurrent kernels share. No include guard: it is included (by recurrent_f32.h
 * recurrent_i8.h and recurrent_i16.h) once per kernel, with
 *   RNN_NAME  the instruction
 *   RNN_CELL  RNN_LSTM, RNN_GRU or RNN_PLAIN
 *   RNN_W     weights: RNN_F32, RNN_I8, RNN_T2 (2-bit ternary) or RNN_MIXED (integers only: rows
 *             of either kind, mixed_rows.h)
 *   RNN_X     what is computed in: RNN_F32, RNN_I8 or RNN_I16
 * Rows are sequences: (direction, sample), each with its own part of the scratch and the outputs. */
#include "../ternc_arith.h"
#include "../ternc_math.h"
#include "mixed_rows.h"

#define RNN_LSTM 1
#define RNN_GRU 2
#define RNN_PLAIN 3
#define RNN_F32 1
#define RNN_I8 2
#define RNN_T2 3
#define RNN_I16 4
#define RNN_MIXED 5
#define RNN_PASTE2(a, b) a##_##b
#define RNN_PASTE(a, b) RNN_PASTE2(a, b)
#define RNN_FN(f) RNN_PASTE(f, RNN_NAME)
#define RNN_ARGS RNN_PASTE(RNN_PASTE(ternc, RNN_NAME), args)

#if RNN_CELL == RNN_LSTM
#define RNN_GATES 4u
#define RNN_BIASES 4u
#define RNN_VECTORS 6u /* in hidden units: gates, h, c */
#elif RNN_CELL == RNN_GRU
#define RNN_GATES 3u
#define RNN_BIASES 4u  /* z, r, what x adds to n, what h adds to n */
#define RNN_VECTORS 4u /* z, r, n, h */
#else
#define RNN_GATES 1u
#define RNN_BIASES 1u
#define RNN_VECTORS 2u /* next h, h */
#endif
#if RNN_X == RNN_I16 /* gates do not stay: GRU r*h; next h; GRU, LSTM low; h; LSTM c */
#undef RNN_VECTORS
#define RNN_VECTORS (RNN_CELL == RNN_PLAIN ? 2u : 4u)
#endif
#if RNN_X == RNN_I8 && RNN_W == RNN_T2
#define RNN_SCRATCH (RNN_VECTORS + 1u) /* h as the weights multiply it */
#else
#define RNN_SCRATCH RNN_VECTORS
#endif

#if RNN_X == RNN_F32
#define RNN_X_TYPE float
#define RNN_X_DTYPE TERNC_F32
#define RNN_H_TYPE float
#define RNN_H_DTYPE TERNC_F32
#define RNN_M_TYPE float
#define RNN_M_DTYPE TERNC_F32
#define RNN_SUM float
#else
#if RNN_X == RNN_I8
#define RNN_X_TYPE int8_t
#define RNN_X_DTYPE TERNC_I8
#else
#include "wide.h"
#define RNN_X_TYPE int16_t
#define RNN_X_DTYPE TERNC_I16
#endif
#define RNN_H_TYPE int16_t
#define RNN_H_DTYPE TERNC_I16
#define RNN_M_TYPE int32_t
#define RNN_M_DTYPE TERNC_I32
#define RNN_SUM uint32_t
#endif

#if RNN_X == RNN_I16
#define RNN_Y_TYPE void /* int16 or, as its tensor says, int8 */
#else
#define RNN_Y_TYPE RNN_X_TYPE
#endif

#if RNN_W == RNN_F32
#define RNN_W_TYPE float
#define RNN_W_DTYPE TERNC_F32
#elif RNN_W == RNN_I8
#define RNN_W_TYPE int8_t
#define RNN_W_DTYPE TERNC_I8
#else
#define RNN_W_TYPE uint8_t
#define RNN_W_DTYPE TERNC_U8
#endif

/* Where the operands are; NULL when absent. */
typedef struct {
  const RNN_X_TYPE *x;
  const RNN_W_TYPE *w, *r;
#if RNN_W == RNN_MIXED
  size_t rows; /* of w, and of r */
#endif
  const RNN_M_TYPE *m_w, *m_r, *b;
  const RNN_H_TYPE *h0, *c0;
  RNN_Y_TYPE *y;
  RNN_H_TYPE *h_last, *c_last, *scratch;
#if RNN_X == RNN_I16
  int narrow; /* y is int8 */
#endif
} RNN_FN(tensors);

static RNN_FN(tensors) RNN_FN(bind)(const ternc_op *op, const RNN_ARGS *args) {
  RNN_FN(tensors) k;
  k.x = (const RNN_X_TYPE *)ternc_data(op, args->x);
  k.w = (const RNN_W_TYPE *)ternc_data(op, args->w);
  k.r = (const RNN_W_TYPE *)ternc_data(op, args->r);
#if RNN_W == RNN_MIXED
  k.rows = (size_t)RNN_GATES * args->hidden * args->directions;
#endif
#if RNN_W == RNN_F32
  k.m_w = k.m_r = NULL;
#else
  k.m_w = (const RNN_M_TYPE *)ternc_data(op, args->m_w);
  k.m_r = (const RNN_M_TYPE *)ternc_data(op, args->m_r);
#endif
#if RNN_X == RNN_F32
  k.b = (const RNN_M_TYPE *)ternc_data(op, args->b);
#else
  k.b = (const RNN_M_TYPE *)ternc_data(op, args->c);
#endif
  k.h0 = (const RNN_H_TYPE *)ternc_data(op, args->h0);
  k.h_last = (RNN_H_TYPE *)ternc_data(op, args->h_last);
#if RNN_CELL == RNN_LSTM
  k.c0 = (const RNN_H_TYPE *)ternc_data(op, args->c0);
  k.c_last = (RNN_H_TYPE *)ternc_data(op, args->c_last);
#else
  k.c0 = NULL;
  k.c_last = NULL;
#endif
  k.y = (RNN_Y_TYPE *)ternc_data(op, args->y);
#if RNN_X == RNN_I16
  k.narrow = k.y != NULL && ternc_is_narrow(op, args->y);
#endif
  k.scratch = (RNN_H_TYPE *)ternc_data(op, args->scratch);
  return k;
}

/* Whether `tensor` holds so many rows of n weights. */
static int RNN_FN(holds)(const ternc_op *op, uint32_t tensor, uint64_t rows, uint64_t n) {
#if RNN_W == RNN_MIXED
  if (ternc_expect(op, tensor, RNN_W_DTYPE, 0)) return 0;
  return ternc_mixed_fits((const uint8_t *)ternc_data(op, tensor), ternc_record(op, tensor)->size,
                          rows, n);
#else
  const uint64_t count = ternc_mul_sat(rows, n);
  return !ternc_expect(op, tensor, RNN_W_DTYPE, RNN_W == RNN_T2 ? ternc_t2_bytes(count) : count);
#endif
}

static ternc_status RNN_FN(check)(const ternc_op *op) {
  const RNN_ARGS *args = (const RNN_ARGS *)op->args;
  const uint64_t hidden = args->hidden, samples = (uint64_t)args->steps * args->batch;
  const uint64_t rows = RNN_GATES * hidden * args->directions;
  const uint64_t w_count = ternc_mul_sat(rows, args->in_features);
  const uint64_t r_count = ternc_mul_sat(rows, hidden);
  const uint64_t biases = RNN_BIASES * hidden * args->directions;
  const uint64_t sequences = (uint64_t)args->batch * args->directions;
  const uint64_t states = ternc_mul_sat(sequences, hidden);
  if (!ternc_is_dim(args->steps) || !ternc_is_dim(args->batch) ||
      !ternc_is_dim(args->in_features) || !ternc_is_dim(args->hidden) ||
      args->directions - 1u > 1u || args->reverse > 1u ||
      w_count > 0x7fffffffu || r_count > 0x7fffffffu || sequences > 0x7fffffffu) {
    return TERNC_E_OPERAND;
  }
  if (ternc_expect(op, args->x, RNN_X_DTYPE, ternc_mul_sat(samples, args->in_features)) ||
      !RNN_FN(holds)(op, args->w, rows, args->in_features) ||
      !RNN_FN(holds)(op, args->r, rows, hidden) ||
      ternc_expect_optional(op, args->h0, RNN_H_DTYPE, states) ||
      ternc_expect_optional(op, args->h_last, RNN_H_DTYPE, states) ||
      ternc_expect(op, args->scratch, RNN_H_DTYPE, ternc_mul_sat(states, RNN_SCRATCH))) {
    return TERNC_E_OPERAND;
  }
#if RNN_X == RNN_I16
  if (args->y != TERNC_NONE &&
      !ternc_wide_fits(op, args->y, ternc_mul_sat(samples, hidden * args->directions), args->lo,
                       args->hi)) {
    return TERNC_E_OPERAND;
  }
#else
  if (ternc_expect_optional(op, args->y, RNN_X_DTYPE,
                            ternc_mul_sat(samples, hidden * args->directions))) {
    return TERNC_E_OPERAND;
  }
#endif
#if RNN_CELL == RNN_LSTM
  if (ternc_expect_optional(op, args->c0, RNN_H_DTYPE, states) ||
      ternc_expect_optional(op, args->c_last, RNN_H_DTYPE, states)) {
    return TERNC_E_OPERAND;
  }
#endif
#if RNN_W != RNN_F32
  if (ternc_expect(op, args->m_w, RNN_M_DTYPE, rows) ||
      ternc_expect(op, args->m_r, RNN_M_DTYPE, rows)) {
    return TERNC_E_OPERAND;
  }
#endif
#if RNN_X == RNN_F32
  return ternc_expect_optional(op, args->b, RNN_M_DTYPE, biases);
#else
#if RNN_CELL == RNN_LSTM
  if (args->cell_bits > 15u) return TERNC_E_OPERAND;
#endif
#if RNN_X == RNN_I8
  if (!ternc_is_i8_range(args->lo, args->hi)) return TERNC_E_OPERAND;
#endif
  return args->shift <= TERNC_MAX_SHIFT && args->out_shift <= TERNC_MAX_SHIFT
             ? ternc_expect(op, args->c, RNN_M_DTYPE, biases)
             : TERNC_E_OPERAND;
#endif
}

static uint32_t RNN_FN(rows)(const ternc_op *op) {
  const RNN_ARGS *args = (const RNN_ARGS *)op->args;
  return args->batch * args->directions;
}

#if RNN_W == RNN_MIXED
#if RNN_X == RNN_I8
TERNC_MIXED_DOT(RNN_FN(dot_x), int8_t)
#endif
TERNC_MIXED_DOT(RNN_FN(dot_h), int16_t)
#elif RNN_X != RNN_I16
/* sum + v * w[at]; zero ternary weights are skipped (0 * inf counts as 0). */
#if RNN_X == RNN_F32
static inline float RNN_FN(add)(float sum, float v, const RNN_W_TYPE *w, size_t at) {
#if RNN_W == RNN_T2
  const uint32_t code = (uint32_t)w[at >> 2] >> (6u - 2u * (at & 3u)) & 3u;
  return code == 1u ? sum + v : code == 2u ? sum - v : sum;
#else
  return sum + v * (float)w[at];
#endif
}
#else
static inline uint32_t RNN_FN(add)(uint32_t sum, int32_t v, const RNN_W_TYPE *w, size_t at) {
#if RNN_W == RNN_T2
  return sum + (uint32_t)(v * ternc_t2(w, at));
#else
  return sum + (uint32_t)(v * w[at]);
#endif
}
#endif

/* Sum over i < n of x[i] * w[at + i], in four parts; integer sums are exact modulo 2^32. Ternary
 * weights are taken from byte boundaries on, so that whole bytes of zeros cost little. */
#if RNN_W == RNN_T2
#define RNN_ALIGNED(at) (((at) & 3u) == 0)
#define RNN_ALL_ZERO(w, at) ((w)[(at) >> 2] == 0)
#else
#define RNN_ALIGNED(at) 1
#define RNN_ALL_ZERO(w, at) 0
#endif
#define RNN_DOT(name, type)                                                                 \
  static RNN_SUM RNN_FN(name)(const type *x, const RNN_W_TYPE *w, size_t at, uint32_t n) {  \
    RNN_SUM s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                                 \
    uint32_t i = 0;                                                                         \
    for (; i < n && !RNN_ALIGNED(at + i); i++) s0 = RNN_FN(add)(s0, x[i], w, at + i);       \
    for (; n - i >= 4; i += 4) {                                                            \
      if (RNN_ALL_ZERO(w, at + i)) continue;                                                \
      s0 = RNN_FN(add)(s0, x[i], w, at + i);                                                \
      s1 = RNN_FN(add)(s1, x[i + 1], w, at + i + 1);                                        \
      s2 = RNN_FN(add)(s2, x[i + 2], w, at + i + 2);                                        \
      s3 = RNN_FN(add)(s3, x[i + 3], w, at + i + 3);                                        \
    }                                                                                       \
    for (; i < n; i++) s0 = RNN_FN(add)(s0, x[i], w, at + i);                               \
    return (s0 + s1) + (s2 + s3);                                                           \
  }

RNN_DOT(dot_x, RNN_X_TYPE)
RNN_DOT(dot_h, RNN_H_TYPE)
#endif

/* One sequence: `step` (of the including file) advances h and c, which follow the gates in the
 * scratch, by one x; then h goes to y. */
static void RNN_FN(step)(const RNN_FN(tensors) *k, const RNN_ARGS *args, size_t direction,
                         const RNN_X_TYPE *x, RNN_H_TYPE *gates);
static void RNN_FN(emit)(const RNN_FN(tensors) *k, const RNN_ARGS *args, const RNN_H_TYPE *h,
                         size_t at);

static void RNN_FN(sequence)(const RNN_FN(tensors) *k, const RNN_ARGS *args, uint32_t index) {
  const size_t hidden = args->hidden, direction = index / args->batch;
  const size_t sample = index % args->batch;
  const size_t place = (sample * args->directions + direction) * hidden;
  const int backwards = direction == 1 || args->reverse != 0;
  RNN_H_TYPE *gates = k->scratch + (size_t)index * RNN_SCRATCH * hidden;
  RNN_H_TYPE *h = gates + (RNN_VECTORS - (RNN_CELL == RNN_LSTM ? 2u : 1u)) * hidden;
  RNN_H_TYPE *c = h + hidden; /* of an LSTM */
  size_t j;
  uint32_t t;
  for (j = 0; j < hidden; j++) h[j] = k->h0 == NULL ? 0 : k->h0[place + j];
  for (j = 0; RNN_CELL == RNN_LSTM && j < hidden; j++) c[j] = k->c0 == NULL ? 0 : k->c0[place + j];
#if RNN_X == RNN_I16 && RNN_CELL != RNN_PLAIN
  for (j = 0; j < hidden; j++) gates[(RNN_CELL == RNN_LSTM ? hidden : 2 * hidden) + j] = 0; /* low */
#endif
  for (t = 0; t < args->steps; t++) {
    const size_t at = (size_t)(backwards ? args->steps - 1 - t : t) * args->batch + sample;
    RNN_FN(step)(k, args, direction, k->x + at * args->in_features, gates);
    if (k->y != NULL) RNN_FN(emit)(k, args, h, (at * args->directions + direction) * hidden);
  }
  for (j = 0; k->h_last != NULL && j < hidden; j++) k->h_last[place + j] = h[j];
  for (j = 0; k->c_last != NULL && j < hidden; j++) k->c_last[place + j] = c[j];
}

static void RNN_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const RNN_ARGS args = *(const RNN_ARGS *)op->args; /* a copy, which no store can change */
  const RNN_FN(tensors) k = RNN_FN(bind)(op, &args);
  for (; begin < end; begin++) RNN_FN(sequence)(&k, &args, begin);
}

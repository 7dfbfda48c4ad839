/* Template of the fast recurrent kernels in integers. No include guard: it is included once per
 * kernel, with
 *   FAST_NAME  the instruction
 *   FAST_CELL  FAST_LSTM, FAST_GRU or FAST_PLAIN
 *   FAST_W     weights: FAST_T2, ternary by look-up (pair_table.h), or FAST_I8
 *
 * In each step come the products, in blocks of FAST_BLOCK rows whose weights lie side by side, with
 * tables of x and of h built before them; then the gates. The same bytes as recurrent_i8.h. */
#include "../ternc_arith.h"
#include "gates.h"

#define FAST_T2 1
#define FAST_I8 2
#if FAST_W == FAST_T2
#include "pair_table.h"
#endif

#define FAST_LSTM 1
#define FAST_GRU 2
#define FAST_PLAIN 3
#define FAST_PASTE2(a, b) a##_##b
#define FAST_PASTE(a, b) FAST_PASTE2(a, b)
#define FAST_FN(f) FAST_PASTE(f, FAST_NAME)
#define FAST_ARGS FAST_PASTE(FAST_PASTE(ternc, FAST_NAME), args)

#if FAST_CELL == FAST_LSTM
#define FAST_GATES 4u
#define FAST_BIASES 4u
#define FAST_STATES 2u
#elif FAST_CELL == FAST_GRU
#define FAST_GATES 3u
#define FAST_BIASES 4u /* last, what h adds to n */
#define FAST_STATES 2u /* h, and r*h where the reset gate comes first */
#else
#define FAST_GATES 1u
#define FAST_BIASES 1u
#define FAST_STATES 1u
#endif
#if FAST_W == FAST_T2
#define FAST_BLOCK 4u
#define FAST_BIAS 32768u
#define FAST_W_DTYPE TERNC_U8
typedef uint8_t FAST_FN(weight);
typedef uint32_t FAST_FN(x_operand); /* tables */
typedef uint32_t FAST_FN(h_operand);
#else
#define FAST_BLOCK 8u
#define FAST_W_DTYPE TERNC_I8
typedef int8_t FAST_FN(weight);
typedef int8_t FAST_FN(x_operand); /* as they are */
typedef int16_t FAST_FN(h_operand);
#endif
#define FAST_HALF 16384 /* of 15 fraction bits */

/* Weights that a row has for n inputs: one for each or, by look-up, for each of an even number of
 * tables. */
static inline uint32_t FAST_FN(groups)(uint32_t n) {
  return FAST_W == FAST_T2 ? (n + 7) / 8 * 2 : n;
}

/* Rows of a gate: in blocks. */
static inline uint32_t FAST_FN(padded)(uint32_t n) {
  return (n + FAST_BLOCK - 1) & ~(FAST_BLOCK - 1);
}

/* Words of the scratch in which x and h, and a GRU's r*h, are tables. */
static inline uint64_t FAST_FN(table_words)(const FAST_ARGS *a) {
#if FAST_W == FAST_T2
  uint64_t tables = FAST_FN(groups)(a->in_features) + (uint64_t)FAST_FN(groups)(a->hidden);
#if FAST_CELL == FAST_GRU
  if (!a->linear_before_reset) tables += FAST_FN(groups)(a->hidden);
#endif
  return TERNC_PAIR_WORDS * tables;
#else
  (void)a;
  return 0;
#endif
}

/* Constants of one direction: for each block m_w, m_r and c of its rows; then what h adds to a GRU's
 * n. */
static inline uint64_t FAST_FN(constants)(uint64_t rows) {
  return (3 * FAST_GATES + FAST_BIASES - FAST_GATES) * rows;
}

static ternc_status FAST_FN(check)(const ternc_op *op) {
  const FAST_ARGS *a = (const FAST_ARGS *)op->args;
  const uint64_t hidden = a->hidden, units = hidden * a->directions;
  const uint64_t rows = FAST_FN(padded)(a->hidden);
  const uint64_t sequences = (uint64_t)a->batch * a->directions;
  const uint64_t states = ternc_mul_sat(sequences, hidden);
  const uint64_t steps = (uint64_t)a->steps * a->batch;
  uint64_t codes;
  if (!ternc_is_dim(a->steps) || !ternc_is_dim(a->batch) || !ternc_is_dim(a->in_features) ||
      !ternc_is_dim(a->hidden) || a->directions - 1u > 1u || a->reverse > 1u ||
      a->shift > 31u || a->h_shift > 16u || !ternc_is_requant32(a->out_shift, a->lo, a->hi)) {
    return TERNC_E_OPERAND;
  }
  codes = ternc_mul_sat(FAST_GATES * rows * a->directions,
                        FAST_FN(groups)(a->in_features) + (uint64_t)FAST_FN(groups)(a->hidden));
  if (ternc_expect(op, a->x, TERNC_I8, ternc_mul_sat(steps, a->in_features)) ||
      ternc_expect(op, a->w, FAST_W_DTYPE, codes) ||
      ternc_expect(op, a->k, TERNC_I32, FAST_FN(constants)(rows) * a->directions) ||
      ternc_expect_optional(op, a->h0, TERNC_I16, states) ||
      ternc_expect_optional(op, a->y, TERNC_I8, ternc_mul_sat(steps, units)) ||
      ternc_expect_optional(op, a->h_last, TERNC_I16, states) ||
      ternc_expect(op, a->scratch, TERNC_I32,
                   FAST_FN(table_words)(a) + FAST_BIASES * rows + (FAST_STATES * hidden + 1) / 2)) {
    return TERNC_E_OPERAND;
  }
#if FAST_CELL == FAST_LSTM
  if (a->cell_bits > 15u || ternc_expect_optional(op, a->c0, TERNC_I16, states) ||
      ternc_expect_optional(op, a->c_last, TERNC_I16, states)) {
    return TERNC_E_OPERAND;
  }
#endif
#if FAST_W == FAST_T2 /* the codes address the tables */
  if (!ternc_pair_codes((const uint8_t *)ternc_data(op, a->w), codes)) return TERNC_E_OPERAND;
#endif
  return TERNC_OK;
}

/* One sequence: where it stands, and its tables. */
typedef struct {
  const FAST_FN(weight) *w; /* of its direction, [gate][block][x's groups, h's][row] */
  const int32_t *k; /* [gate][block][m_w, m_r, c][row], c of a GRU's h */
#if FAST_W == FAST_T2
  uint32_t *x_tables, *h_tables;
#endif
  int32_t *gates;     /* what goes into them, [FAST_BIASES][rows] */
  int16_t *h, *state; /* state: c of an LSTM, r*h of a GRU */
  uint32_t x_groups, h_groups, rows, shift, h_shift;
} FAST_FN(sequence);

#if FAST_W == FAST_T2
/* Four sums, less what the tables are biased by: two tables at a time, of which there are two. */
#define FAST_SUMS(tables, groups, start)                                    \
  {                                                                        \
    const uint8_t *t = (const uint8_t *)(tables);                          \
    const uint8_t *const end = w + 4 * (groups);                           \
    s0 = s1 = s2 = s3 = (start);                                           \
    FAST_ADD                                                                \
    for (w += 8; w != end; w += 8) {                                       \
      t += 2 * TERNC_PAIR_BYTES;                                           \
      FAST_ADD                                                              \
    }                                                                      \
  }
#define FAST_ADD FAST_TWO(s0, 0) FAST_TWO(s1, 1) FAST_TWO(s2, 2) FAST_TWO(s3, 3)
#define FAST_TWO(sum, i)                                                    \
  sum += (uint32_t)TERNC_PAIR_ENTRY(t, w, i, 0) +                          \
         (uint32_t)TERNC_PAIR_ENTRY(t, w, (i) + 4, TERNC_PAIR_BYTES);
#else
/* Eight sums over `count` inputs: x or h is read once for all of them. */
#define FAST_SUMS(inputs, count)                                           \
  {                                                                        \
    const FAST_FN(weight) *const end = w + FAST_BLOCK * (count);           \
    const FAST_FN(weight) *const most = w + FAST_BLOCK * ((count) & ~1u);  \
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0;                             \
    for (; w != most; w += 2 * FAST_BLOCK, (inputs) += 2) {                \
      FAST_ADD((inputs)[0], 0)                                             \
      FAST_ADD((inputs)[1], 8)                                             \
    }                                                                      \
    for (; w != end; w += FAST_BLOCK, (inputs)++) FAST_ADD((inputs)[0], 0) \
  }
#define FAST_ADD(input, i)                                                 \
  {                                                                        \
    const int32_t v = (input);                                             \
    s0 += (uint32_t)(v * w[i]);                                            \
    s1 += (uint32_t)(v * w[(i) + 1]);                                      \
    s2 += (uint32_t)(v * w[(i) + 2]);                                      \
    s3 += (uint32_t)(v * w[(i) + 3]);                                      \
    s4 += (uint32_t)(v * w[(i) + 4]);                                      \
    s5 += (uint32_t)(v * w[(i) + 5]);                                      \
    s6 += (uint32_t)(v * w[(i) + 6]);                                      \
    s7 += (uint32_t)(v * w[(i) + 7]);                                      \
  }
#endif

/* (sum * m_r) >> 16: m holds m_r << (16 - h_shift). */
TERNC_INLINE uint32_t FAST_FN(from_h)(uint32_t sum, uint32_t h_shift, int32_t m) {
  return (uint32_t)((uint64_t)((int64_t)(int32_t)(sum << h_shift) * m) >> 32);
}

/* What goes into `count` gates from gate `first` on, with 16 fraction bits; with `inner`, what h
 * adds to the gate goes there instead. */
#if FAST_W == FAST_T2
static TERNC_NOINLINE void FAST_FN(products)(const FAST_FN(sequence) *s, const uint32_t *x_tables,
                                             const uint32_t *h_tables, uint32_t first,
                                             uint32_t count, int32_t *inner) {
  const uint32_t x_groups = s->x_groups, h_groups = s->h_groups, shift = s->shift;
  const uint32_t h_shift = s->h_shift;
  const uint32_t x_start = 0u - FAST_BIAS * x_groups, h_start = 0u - FAST_BIAS * h_groups;
  const uint8_t *w = s->w + (size_t)first * s->rows * (x_groups + h_groups);
  const int32_t *k = s->k + (size_t)3 * first * s->rows;
  const int32_t *inner_c = s->k + (size_t)3 * FAST_GATES * s->rows;
  int32_t *g = s->gates + (size_t)first * s->rows, *const last = g + (size_t)count * s->rows;
  for (; g != last; g += 4, k += 12) {
    uint32_t s0, s1, s2, s3, p0, p1, p2, p3;
    FAST_SUMS(x_tables, x_groups, x_start)
    p0 = s0 * (uint32_t)k[0] + (uint32_t)k[8];
    p1 = s1 * (uint32_t)k[1] + (uint32_t)k[9];
    p2 = s2 * (uint32_t)k[2] + (uint32_t)k[10];
    p3 = s3 * (uint32_t)k[3] + (uint32_t)k[11];
    FAST_SUMS(h_tables, h_groups, h_start)
    s0 = FAST_FN(from_h)(s0, h_shift, k[4]);
    s1 = FAST_FN(from_h)(s1, h_shift, k[5]);
    s2 = FAST_FN(from_h)(s2, h_shift, k[6]);
    s3 = FAST_FN(from_h)(s3, h_shift, k[7]);
    if (FAST_CELL == FAST_GRU && inner != NULL) {
      inner[0] = (int32_t)(s0 + (uint32_t)inner_c[0]) >> shift;
      inner[1] = (int32_t)(s1 + (uint32_t)inner_c[1]) >> shift;
      inner[2] = (int32_t)(s2 + (uint32_t)inner_c[2]) >> shift;
      inner[3] = (int32_t)(s3 + (uint32_t)inner_c[3]) >> shift;
      inner += 4;
      inner_c += 4;
      s0 = s1 = s2 = s3 = 0;
    }
    g[0] = (int32_t)(p0 + s0) >> shift;
    g[1] = (int32_t)(p1 + s1) >> shift;
    g[2] = (int32_t)(p2 + s2) >> shift;
    g[3] = (int32_t)(p3 + s3) >> shift;
  }
}

static TERNC_NOINLINE void FAST_FN(build_x)(uint32_t *t, const int8_t *x, uint32_t n) {
  for (; n >= 4; n -= 4, x += 4, t += TERNC_PAIR_WORDS) {
    ternc_pair_build(t, FAST_BIAS, x[0], x[1], x[2], x[3]);
  }
  if (n > 0) ternc_pair_build(t, FAST_BIAS, x[0], n > 1 ? x[1] : 0, n > 2 ? x[2] : 0, 0);
}

static TERNC_NOINLINE void FAST_FN(build_h)(uint32_t *t, const int16_t *h, uint32_t n) {
  for (; n >= 4; n -= 4, h += 4, t += TERNC_PAIR_WORDS) {
    ternc_pair_build(t, FAST_BIAS, ternc_state_operand(h[0]), ternc_state_operand(h[1]),
                     ternc_state_operand(h[2]), ternc_state_operand(h[3]));
  }
  if (n > 0) {
    ternc_pair_build(t, FAST_BIAS, ternc_state_operand(h[0]), n > 1 ? ternc_state_operand(h[1]) : 0,
                     n > 2 ? ternc_state_operand(h[2]) : 0, 0);
  }
}

/* x and h as the products take them: built tables, of which a GRU's r*h has its own. */
static inline const uint32_t *FAST_FN(take_x)(const FAST_FN(sequence) *s, const int8_t *x,
                                              uint32_t n) {
  FAST_FN(build_x)(s->x_tables, x, n);
  return s->x_tables;
}

static inline const uint32_t *FAST_FN(take_h)(const FAST_FN(sequence) *s, uint32_t which,
                                              const int16_t *h, uint32_t n) {
  uint32_t *tables = s->h_tables + (size_t)which * TERNC_PAIR_WORDS * s->h_groups;
  FAST_FN(build_h)(tables, h, n);
  return tables;
}
#else
#define FAST_FROM_X(i) g[i] = (int32_t)(s##i * (uint32_t)k[i] + (uint32_t)k[2 * FAST_BLOCK + (i)]);
#define FAST_FROM_H(i)                                                     \
  {                                                                        \
    uint32_t added = FAST_FN(from_h)(s##i, h_shift, k[FAST_BLOCK + (i)]);  \
    if (FAST_CELL == FAST_GRU && inner != NULL) {                          \
      inner[i] = (int32_t)(added + (uint32_t)inner_c[i]) >> shift;         \
      added = 0;                                                           \
    }                                                                      \
    g[i] = (int32_t)((uint32_t)g[i] + added) >> shift;                     \
  }

TERNC_IN_ORDER static TERNC_NOINLINE void FAST_FN(products)(
    const FAST_FN(sequence) *s, const int8_t *x, const int16_t *h, uint32_t first, uint32_t count,
    int32_t *inner) {
  const uint32_t x_groups = s->x_groups, h_groups = s->h_groups, shift = s->shift;
  const uint32_t h_shift = s->h_shift;
  const int8_t *w = s->w + (size_t)first * s->rows * (x_groups + h_groups);
  const int32_t *k = s->k + (size_t)3 * first * s->rows;
  const int32_t *inner_c = s->k + (size_t)3 * FAST_GATES * s->rows;
  int32_t *g = s->gates + (size_t)first * s->rows, *const last = g + (size_t)count * s->rows;
  for (; g != last; g += FAST_BLOCK, k += 3 * FAST_BLOCK) {
    uint32_t s0, s1, s2, s3, s4, s5, s6, s7;
    const int8_t *from_x = x;
    const int16_t *from_h = h;
    FAST_SUMS(from_x, x_groups)
    FAST_FROM_X(0) FAST_FROM_X(1) FAST_FROM_X(2) FAST_FROM_X(3)
    FAST_FROM_X(4) FAST_FROM_X(5) FAST_FROM_X(6) FAST_FROM_X(7)
    FAST_SUMS(from_h, h_groups)
    FAST_FROM_H(0) FAST_FROM_H(1) FAST_FROM_H(2) FAST_FROM_H(3)
    FAST_FROM_H(4) FAST_FROM_H(5) FAST_FROM_H(6) FAST_FROM_H(7)
    if (FAST_CELL == FAST_GRU && inner != NULL) {
      inner += FAST_BLOCK;
      inner_c += FAST_BLOCK;
    }
  }
}
#endif

#if FAST_W == FAST_T2
#define FAST_TAKE_X(x) FAST_FN(take_x)(s, x, args->in_features)
#define FAST_TAKE_H(which, h) FAST_FN(take_h)(s, which, h, args->hidden)
#else
#define FAST_TAKE_X(x) (x)
#define FAST_TAKE_H(which, h) (h)
#endif

/* Advances h by one step. */
static TERNC_NOINLINE void FAST_FN(step)(const FAST_FN(sequence) *s, const FAST_ARGS *args,
                                        const int8_t *row) {
  const int32_t *g = s->gates;
  const uint32_t rows = s->rows;
  int16_t *h = s->h, *const end = h + args->hidden;
  const FAST_FN(x_operand) *x = FAST_TAKE_X(row);
  const FAST_FN(h_operand) *from = FAST_TAKE_H(0, h);
#if FAST_CELL == FAST_LSTM
  const uint32_t down = 15u - args->cell_bits, wider = 16u - args->cell_bits;
  const int32_t *o = g + rows, *f = o + rows, *n = f + rows;
  int16_t *c = s->state;
  FAST_FN(products)(s, x, from, 0, 4, NULL);
  for (; h != end; h++, c++) {
    const int32_t added = ternc_sigmoid_gate(*g++) * ternc_tanh_gate(*n++) >> down;
    const int32_t kept = ternc_sigmoid_gate(*f++) * *c;
    const int32_t cell = ternc_clamp_rare((kept + added + FAST_HALF) >> 15, -32767, 32767);
    *c = (int16_t)cell;
    *h = (int16_t)((ternc_sigmoid_gate(*o++) * ternc_tanh_gate(cell * (1 << wider)) + FAST_HALF) >>
                   15);
  }
#elif FAST_CELL == FAST_GRU
  const int32_t *r = g + rows, *n = r + rows, *inner = n + rows;
  if (args->linear_before_reset) {
    FAST_FN(products)(s, x, from, 0, 2, NULL);
    FAST_FN(products)(s, x, from, 2, 1, s->gates + 3 * (size_t)rows);
  } else { /* what n sees of h is known only after every reset gate */
    int16_t *reset = s->state;
    FAST_FN(products)(s, x, from, 0, 2, NULL);
    for (; h != end; h++) {
      *reset++ = (int16_t)((ternc_sigmoid_gate(*r++) * *h + FAST_HALF) >> 15);
    }
    from = FAST_TAKE_H(1, s->state);
    FAST_FN(products)(s, x, from, 2, 1, NULL);
    h = s->h;
  }
  for (; h != end; h++) {
    const int32_t z = ternc_sigmoid_gate(*g++);
    int32_t v = *n++;
    if (args->linear_before_reset) {
      const int64_t from_h = (int64_t)ternc_sigmoid_gate(*r++) * *inner++;
      v = (int32_t)((uint32_t)v + (uint32_t)((from_h + FAST_HALF) >> 15));
    }
    *h = (int16_t)(((32768 - z) * ternc_tanh_gate(v) + z * *h + FAST_HALF) >> 15);
  }
#else
  FAST_FN(products)(s, x, from, 0, 1, NULL);
  (void)rows;
  for (; h != end; h++) *h = (int16_t)ternc_tanh_gate(*g++);
#endif
}

/* h as y: requantized. */
static TERNC_NOINLINE void FAST_FN(show)(const int16_t *h, int8_t *y, const FAST_ARGS *args) {
  const int8_t *const end = y + args->hidden;
  const int32_t m = args->out_m, c = args->out_c, lo = args->lo, hi = args->hi;
  const uint32_t shift = args->out_shift;
  for (; y != end; y++) { /* (h * m) >> 16 in one product */
    const uint32_t scaled = (uint32_t)((uint64_t)((int64_t)*h++ * 65536 * m) >> 32);
    *y = (int8_t)ternc_clamp_rare((int32_t)(scaled + (uint32_t)c) >> shift, lo, hi);
  }
}

static TERNC_NOINLINE void FAST_FN(sequence_run)(FAST_FN(sequence) *s, const ternc_op *op, const FAST_ARGS *args,
                                 uint32_t index) {
  const uint32_t direction = index / args->batch, sample = index % args->batch;
  const size_t hidden = args->hidden, units = hidden * args->directions;
  const size_t place = sample * units + direction * hidden;
  const int backwards = direction == 1 || args->reverse != 0;
  const int16_t *h0 = (const int16_t *)ternc_data(op, args->h0);
  int16_t *h_last = (int16_t *)ternc_data(op, args->h_last);
  const int8_t *x = (const int8_t *)ternc_data(op, args->x);
  int8_t *y = (int8_t *)ternc_data(op, args->y);
  size_t j;
  uint32_t t;
#if FAST_CELL == FAST_LSTM
  const int16_t *c0 = (const int16_t *)ternc_data(op, args->c0);
  int16_t *c_last = (int16_t *)ternc_data(op, args->c_last);
  for (j = 0; j < hidden; j++) s->state[j] = c0 == NULL ? 0 : c0[place + j];
#endif
  for (j = 0; j < hidden; j++) s->h[j] = h0 == NULL ? 0 : h0[place + j];
  s->w = (const FAST_FN(weight) *)ternc_data(op, args->w) +
         (size_t)direction * FAST_GATES * s->rows * (s->x_groups + s->h_groups);
  s->k = (const int32_t *)ternc_data(op, args->k) +
         (size_t)direction * (size_t)FAST_FN(constants)(s->rows);
  for (t = 0; t < args->steps; t++) {
    const size_t at = (size_t)(backwards ? args->steps - 1 - t : t) * args->batch + sample;
    FAST_FN(step)(s, args, x + at * args->in_features);
    if (y != NULL) {
      FAST_FN(show)(s->h, y + at * units + direction * hidden, args);
    }
  }
  for (j = 0; h_last != NULL && j < hidden; j++) h_last[place + j] = s->h[j];
#if FAST_CELL == FAST_LSTM
  for (j = 0; c_last != NULL && j < hidden; j++) c_last[place + j] = s->state[j];
#endif
}

static void FAST_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const FAST_ARGS args = *(const FAST_ARGS *)op->args; /* a copy, which no store can change */
  FAST_FN(sequence) s;
  uint32_t *scratch = (uint32_t *)ternc_data(op, args.scratch);
  const size_t words = (size_t)FAST_FN(table_words)(&args);
  uint32_t i;
  (void)begin; /* the sequences share the scratch: the work does not divide */
  (void)end;
  s.x_groups = FAST_FN(groups)(args.in_features);
  s.h_groups = FAST_FN(groups)(args.hidden);
  s.rows = FAST_FN(padded)(args.hidden);
  s.shift = args.shift;
  s.h_shift = args.h_shift;
#if FAST_W == FAST_T2
  s.x_tables = scratch;
  s.h_tables = s.x_tables + TERNC_PAIR_WORDS * s.x_groups;
  /* The tables beyond the inputs: no weight is there, and what no weight selects is 0. */
  for (i = 0; i < words; i += TERNC_PAIR_WORDS) scratch[i] = FAST_BIAS * 65537u;
#endif
  s.gates = (int32_t *)(void *)(scratch + words);
  s.h = (int16_t *)(void *)(s.gates + FAST_BIASES * s.rows);
  s.state = s.h + args.hidden;
  for (i = 0; i < args.batch * args.directions; i++) FAST_FN(sequence_run)(&s, op, &args, i);
}

#undef FAST_NAME
#undef FAST_CELL
#undef FAST_LSTM
#undef FAST_GRU
#undef FAST_PLAIN
#undef FAST_PASTE2
#undef FAST_PASTE
#undef FAST_FN
#undef FAST_ARGS
#undef FAST_GATES
#undef FAST_BIASES
#undef FAST_STATES
#undef FAST_BIAS
#undef FAST_HALF
#undef FAST_SUMS
#undef FAST_ADD
#undef FAST_TWO
#undef FAST_W
#undef FAST_T2
#undef FAST_I8
#undef FAST_BLOCK
#undef FAST_W_DTYPE
#undef FAST_FROM_X
#undef FAST_FROM_H
#undef FAST_TAKE_X
#undef FAST_TAKE_H

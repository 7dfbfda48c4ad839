/* Template of the recurrent kernels with ternary weights by look-up (pair_table.h). No include
 * guard: it is included once per kernel, with
 *   LUT_NAME  the instruction
 *   LUT_CELL  LUT_LSTM, LUT_GRU or LUT_PLAIN
 *
 * In each step tables are built of x and of h; then come the products, in blocks of four rows whose
 * codes lie side by side; then the gates. The same bytes as recurrent_i8.h. */
#include "../ternc_arith.h"
#include "gates.h"
#include "pair_table.h"

#define LUT_LSTM 1
#define LUT_GRU 2
#define LUT_PLAIN 3
#define LUT_PASTE2(a, b) a##_##b
#define LUT_PASTE(a, b) LUT_PASTE2(a, b)
#define LUT_FN(f) LUT_PASTE(f, LUT_NAME)
#define LUT_ARGS LUT_PASTE(LUT_PASTE(ternc, LUT_NAME), args)

#if LUT_CELL == LUT_LSTM
#define LUT_GATES 4u
#define LUT_BIASES 4u
#define LUT_STATES 2u
#elif LUT_CELL == LUT_GRU
#define LUT_GATES 3u
#define LUT_BIASES 4u /* last, what h adds to n */
#define LUT_STATES 2u /* h, and r*h where the reset gate comes first */
#else
#define LUT_GATES 1u
#define LUT_BIASES 1u
#define LUT_STATES 1u
#endif
#define LUT_BIAS 32768u
#define LUT_HALF 16384 /* of 15 fraction bits */

/* Tables of n inputs; an even number. */
static inline uint32_t LUT_FN(groups)(uint32_t n) { return (n + 7) / 8 * 2; }

/* Rows of a gate: in blocks of four. */
static inline uint32_t LUT_FN(padded)(uint32_t n) { return (n + 3) & ~3u; }

/* Constants of one direction: for each block 4 m_w, 4 m_r, 4 c; then what h adds to a GRU's n. */
static inline uint64_t LUT_FN(constants)(uint64_t rows) {
  return (3 * LUT_GATES + LUT_BIASES - LUT_GATES) * rows;
}

static ternc_status LUT_FN(check)(const ternc_op *op) {
  const LUT_ARGS *a = (const LUT_ARGS *)op->args;
  const uint64_t hidden = a->hidden, units = hidden * a->directions;
  const uint64_t rows = LUT_FN(padded)(a->hidden);
  const uint64_t sequences = (uint64_t)a->batch * a->directions;
  const uint64_t states = ternc_mul_sat(sequences, hidden);
  const uint64_t steps = (uint64_t)a->steps * a->batch;
  uint64_t tables, codes;
  if (!ternc_is_dim(a->steps) || !ternc_is_dim(a->batch) || !ternc_is_dim(a->in_features) ||
      !ternc_is_dim(a->hidden) || a->directions - 1u > 1u || a->reverse > 1u ||
      a->shift > 31u || a->h_shift > 16u || !ternc_is_requant32(a->out_shift, a->lo, a->hi)) {
    return TERNC_E_OPERAND;
  }
  tables = LUT_FN(groups)(a->in_features) + (uint64_t)LUT_FN(groups)(a->hidden);
  codes = ternc_mul_sat(LUT_GATES * rows * a->directions, tables);
#if LUT_CELL == LUT_GRU
  if (!a->linear_before_reset) tables += LUT_FN(groups)(a->hidden);
#endif
  if (ternc_expect(op, a->x, TERNC_I8, ternc_mul_sat(steps, a->in_features)) ||
      ternc_expect(op, a->w, TERNC_U8, codes) ||
      ternc_expect(op, a->k, TERNC_I32, LUT_FN(constants)(rows) * a->directions) ||
      ternc_expect_optional(op, a->h0, TERNC_I16, states) ||
      ternc_expect_optional(op, a->y, TERNC_I8, ternc_mul_sat(steps, units)) ||
      ternc_expect_optional(op, a->h_last, TERNC_I16, states) ||
      ternc_expect(op, a->scratch, TERNC_I32,
                   TERNC_PAIR_WORDS * tables + LUT_BIASES * rows + (LUT_STATES * hidden + 1) / 2)) {
    return TERNC_E_OPERAND;
  }
#if LUT_CELL == LUT_LSTM
  if (a->cell_bits > 15u || ternc_expect_optional(op, a->c0, TERNC_I16, states) ||
      ternc_expect_optional(op, a->c_last, TERNC_I16, states)) {
    return TERNC_E_OPERAND;
  }
#endif
  /* The codes address the tables. */
  return ternc_pair_codes((const uint8_t *)ternc_data(op, a->w), codes) ? TERNC_OK
                                                                        : TERNC_E_OPERAND;
}

/* One sequence: where it stands, and its tables. */
typedef struct {
  const uint8_t *w; /* of its direction, [gate][block][table][4] */
  const int32_t *k; /* [gate][block][12], c of a GRU's h */
  uint32_t *x_tables, *h_tables;
  int32_t *gates;     /* what goes into them, [LUT_BIASES][rows] */
  int16_t *h, *state; /* state: c of an LSTM, r*h of a GRU */
  uint32_t x_groups, h_groups, rows, shift, h_shift;
} LUT_FN(sequence);

/* Four sums, less what the tables are biased by: two tables at a time, of which there are two. */
#define LUT_SUMS(tables, groups, start)                                    \
  {                                                                        \
    const uint8_t *t = (const uint8_t *)(tables);                          \
    const uint8_t *const end = w + 4 * (groups);                           \
    s0 = s1 = s2 = s3 = (start);                                           \
    LUT_ADD                                                                \
    for (w += 8; w != end; w += 8) {                                       \
      t += 2 * TERNC_PAIR_BYTES;                                           \
      LUT_ADD                                                              \
    }                                                                      \
  }
#define LUT_ADD LUT_TWO(s0, 0) LUT_TWO(s1, 1) LUT_TWO(s2, 2) LUT_TWO(s3, 3)
#define LUT_TWO(sum, i)                                                    \
  sum += (uint32_t)TERNC_PAIR_ENTRY(t, w, i, 0) +                          \
         (uint32_t)TERNC_PAIR_ENTRY(t, w, (i) + 4, TERNC_PAIR_BYTES);

/* (sum * m_r) >> 16: m holds m_r << (16 - h_shift). */
TERNC_INLINE uint32_t LUT_FN(from_h)(uint32_t sum, uint32_t h_shift, int32_t m) {
  return (uint32_t)((uint64_t)((int64_t)(int32_t)(sum << h_shift) * m) >> 32);
}

/* What goes into `count` gates from gate `first` on, with 16 fraction bits; with `inner`, what h
 * adds to the gate goes there instead. */
static TERNC_NOINLINE void LUT_FN(products)(const LUT_FN(sequence) *s, const uint32_t *h_tables,
                                            uint32_t first, uint32_t count, int32_t *inner) {
  const uint32_t *const x_tables = s->x_tables;
  const uint32_t x_groups = s->x_groups, h_groups = s->h_groups, shift = s->shift;
  const uint32_t h_shift = s->h_shift;
  const uint32_t x_start = 0u - LUT_BIAS * x_groups, h_start = 0u - LUT_BIAS * h_groups;
  const uint8_t *w = s->w + (size_t)first * s->rows * (x_groups + h_groups);
  const int32_t *k = s->k + (size_t)3 * first * s->rows;
  const int32_t *inner_c = s->k + (size_t)3 * LUT_GATES * s->rows;
  int32_t *g = s->gates + (size_t)first * s->rows, *const last = g + (size_t)count * s->rows;
  for (; g != last; g += 4, k += 12) {
    uint32_t s0, s1, s2, s3, p0, p1, p2, p3;
    LUT_SUMS(x_tables, x_groups, x_start)
    p0 = s0 * (uint32_t)k[0] + (uint32_t)k[8];
    p1 = s1 * (uint32_t)k[1] + (uint32_t)k[9];
    p2 = s2 * (uint32_t)k[2] + (uint32_t)k[10];
    p3 = s3 * (uint32_t)k[3] + (uint32_t)k[11];
    LUT_SUMS(h_tables, h_groups, h_start)
    s0 = LUT_FN(from_h)(s0, h_shift, k[4]);
    s1 = LUT_FN(from_h)(s1, h_shift, k[5]);
    s2 = LUT_FN(from_h)(s2, h_shift, k[6]);
    s3 = LUT_FN(from_h)(s3, h_shift, k[7]);
    if (LUT_CELL == LUT_GRU && inner != NULL) {
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

static TERNC_NOINLINE void LUT_FN(build_x)(uint32_t *t, const int8_t *x, uint32_t n) {
  for (; n >= 4; n -= 4, x += 4, t += TERNC_PAIR_WORDS) {
    ternc_pair_build(t, LUT_BIAS, x[0], x[1], x[2], x[3]);
  }
  if (n > 0) ternc_pair_build(t, LUT_BIAS, x[0], n > 1 ? x[1] : 0, n > 2 ? x[2] : 0, 0);
}

static TERNC_NOINLINE void LUT_FN(build_h)(uint32_t *t, const int16_t *h, uint32_t n) {
  for (; n >= 4; n -= 4, h += 4, t += TERNC_PAIR_WORDS) {
    ternc_pair_build(t, LUT_BIAS, ternc_state_operand(h[0]), ternc_state_operand(h[1]),
                     ternc_state_operand(h[2]), ternc_state_operand(h[3]));
  }
  if (n > 0) {
    ternc_pair_build(t, LUT_BIAS, ternc_state_operand(h[0]), n > 1 ? ternc_state_operand(h[1]) : 0,
                     n > 2 ? ternc_state_operand(h[2]) : 0, 0);
  }
}

/* Advances h by one step; x_tables and h_tables are built. */
static TERNC_NOINLINE void LUT_FN(step)(const LUT_FN(sequence) *s, const LUT_ARGS *args) {
  const int32_t *g = s->gates;
  const uint32_t rows = s->rows;
  int16_t *h = s->h, *const end = h + args->hidden;
#if LUT_CELL == LUT_LSTM
  const uint32_t down = 15u - args->cell_bits, wider = 16u - args->cell_bits;
  const int32_t *o = g + rows, *f = o + rows, *n = f + rows;
  int16_t *c = s->state;
  LUT_FN(products)(s, s->h_tables, 0, 4, NULL);
  for (; h != end; h++, c++) {
    const int32_t added = ternc_sigmoid_gate(*g++) * ternc_tanh_gate(*n++) >> down;
    const int32_t kept = ternc_sigmoid_gate(*f++) * *c;
    const int32_t cell = ternc_clamp_rare((kept + added + LUT_HALF) >> 15, -32767, 32767);
    *c = (int16_t)cell;
    *h = (int16_t)((ternc_sigmoid_gate(*o++) * ternc_tanh_gate(cell * (1 << wider)) + LUT_HALF) >>
                   15);
  }
#elif LUT_CELL == LUT_GRU
  const int32_t *r = g + rows, *n = r + rows, *inner = n + rows;
  if (args->linear_before_reset) {
    LUT_FN(products)(s, s->h_tables, 0, 2, NULL);
    LUT_FN(products)(s, s->h_tables, 2, 1, s->gates + 3 * (size_t)rows);
  } else { /* what n sees of h is known only after every reset gate */
    uint32_t *tables = s->h_tables + TERNC_PAIR_WORDS * s->h_groups;
    int16_t *reset = s->state;
    LUT_FN(products)(s, s->h_tables, 0, 2, NULL);
    for (; h != end; h++) {
      *reset++ = (int16_t)((ternc_sigmoid_gate(*r++) * *h + LUT_HALF) >> 15);
    }
    LUT_FN(build_h)(tables, s->state, args->hidden);
    LUT_FN(products)(s, tables, 2, 1, NULL);
    h = s->h;
  }
  for (; h != end; h++) {
    const int32_t z = ternc_sigmoid_gate(*g++);
    int32_t v = *n++;
    if (args->linear_before_reset) {
      const int64_t from_h = (int64_t)ternc_sigmoid_gate(*r++) * *inner++;
      v = (int32_t)((uint32_t)v + (uint32_t)((from_h + LUT_HALF) >> 15));
    }
    *h = (int16_t)(((32768 - z) * ternc_tanh_gate(v) + z * *h + LUT_HALF) >> 15);
  }
#else
  LUT_FN(products)(s, s->h_tables, 0, 1, NULL);
  (void)rows;
  for (; h != end; h++) *h = (int16_t)ternc_tanh_gate(*g++);
#endif
}

/* h as y: requantized. */
static TERNC_NOINLINE void LUT_FN(show)(const int16_t *h, int8_t *y, const LUT_ARGS *args) {
  const int8_t *const end = y + args->hidden;
  const int32_t m = args->out_m, c = args->out_c, lo = args->lo, hi = args->hi;
  const uint32_t shift = args->out_shift;
  for (; y != end; y++) { /* (h * m) >> 16 in one product */
    const uint32_t scaled = (uint32_t)((uint64_t)((int64_t)*h++ * 65536 * m) >> 32);
    *y = (int8_t)ternc_clamp_rare((int32_t)(scaled + (uint32_t)c) >> shift, lo, hi);
  }
}

static TERNC_NOINLINE void LUT_FN(sequence_run)(LUT_FN(sequence) *s, const ternc_op *op, const LUT_ARGS *args,
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
#if LUT_CELL == LUT_LSTM
  const int16_t *c0 = (const int16_t *)ternc_data(op, args->c0);
  int16_t *c_last = (int16_t *)ternc_data(op, args->c_last);
  for (j = 0; j < hidden; j++) s->state[j] = c0 == NULL ? 0 : c0[place + j];
#endif
  for (j = 0; j < hidden; j++) s->h[j] = h0 == NULL ? 0 : h0[place + j];
  s->w = (const uint8_t *)ternc_data(op, args->w) +
         (size_t)direction * LUT_GATES * s->rows * (s->x_groups + s->h_groups);
  s->k = (const int32_t *)ternc_data(op, args->k) +
         (size_t)direction * (size_t)LUT_FN(constants)(s->rows);
  for (t = 0; t < args->steps; t++) {
    const size_t at = (size_t)(backwards ? args->steps - 1 - t : t) * args->batch + sample;
    LUT_FN(build_x)(s->x_tables, x + at * args->in_features, args->in_features);
    LUT_FN(build_h)(s->h_tables, s->h, args->hidden);
    LUT_FN(step)(s, args);
    if (y != NULL) {
      LUT_FN(show)(s->h, y + at * units + direction * hidden, args);
    }
  }
  for (j = 0; h_last != NULL && j < hidden; j++) h_last[place + j] = s->h[j];
#if LUT_CELL == LUT_LSTM
  for (j = 0; c_last != NULL && j < hidden; j++) c_last[place + j] = s->state[j];
#endif
}

static void LUT_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const LUT_ARGS args = *(const LUT_ARGS *)op->args; /* a copy, which no store can change */
  LUT_FN(sequence) s;
  uint32_t i, tables;
  (void)begin; /* the sequences share the tables: the work does not divide */
  (void)end;
  s.x_groups = LUT_FN(groups)(args.in_features);
  s.h_groups = LUT_FN(groups)(args.hidden);
  s.rows = LUT_FN(padded)(args.hidden);
  s.shift = args.shift;
  s.h_shift = args.h_shift;
  s.x_tables = (uint32_t *)ternc_data(op, args.scratch);
  s.h_tables = s.x_tables + TERNC_PAIR_WORDS * s.x_groups;
  tables = s.x_groups + s.h_groups;
#if LUT_CELL == LUT_GRU
  if (!args.linear_before_reset) tables += s.h_groups;
#endif
  /* The tables beyond the inputs: no weight is there, and what no weight selects is 0. */
  for (i = 0; i < tables; i++) s.x_tables[TERNC_PAIR_WORDS * i] = LUT_BIAS * 65537u;
  s.gates = (int32_t *)(void *)(s.x_tables + TERNC_PAIR_WORDS * tables);
  s.h = (int16_t *)(void *)(s.gates + LUT_BIASES * s.rows);
  s.state = s.h + args.hidden;
  for (i = 0; i < args.batch * args.directions; i++) LUT_FN(sequence_run)(&s, op, &args, i);
}

#undef LUT_NAME
#undef LUT_CELL
#undef LUT_LSTM
#undef LUT_GRU
#undef LUT_PLAIN
#undef LUT_PASTE2
#undef LUT_PASTE
#undef LUT_FN
#undef LUT_ARGS
#undef LUT_GATES
#undef LUT_BIASES
#undef LUT_STATES
#undef LUT_BIAS
#undef LUT_HALF
#undef LUT_SUMS
#undef LUT_ADD
#undef LUT_TWO

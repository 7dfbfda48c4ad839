/* Convolution, ternary weights, by look-up in two lanes: one word holds two positions of the
 * output, half an image apart, and a table entry a signed sum of 3 or 4 channels at one pixel.
 *
 * The output is cut in two halves, by rows or, where there is only one, by columns; lane 0 computes
 * the first, lane 1 the second. `columns` positions of a lane row make a strip. Per strip, a ring
 * of table rows holds what the window needs: [group][column][entry], the input's columns sorted by
 * their phase (column modulo stride), so that neighbouring outputs read neighbouring columns.
 * Tables are built once and serve all output channels. Padding reads a pixel of zero points.
 * Where a strip is 8 columns, two of its rows may be computed at a time (`rows`).
 *
 * Sums of the channels in one of `parts` and of `chunk` taps fit 16-bit lanes, which the compiler
 * has proved; where that is not all of a window, they are added up in 32 bits, for `held` outputs
 * at a time. There are tables of one part only: several are built anew for each row of outputs.
 *
 * Where TERNC_LUT_GROUP is defined this is TERNC_LUT_FORM, a form of it with patterns of so many
 * channels, one sum for each output, and no residual. */
#include "conv2d_taps.h"
#include "lane_store.h"
#include "lut_rows.h"
#include "lut_tables.h"

typedef ternc_conv2d_i8_t2_lut_args lut_args;

#ifdef TERNC_LUT_GROUP
#define GROUP(a) ((void)(a), (uint32_t)TERNC_LUT_GROUP)
#define PIECES(p) ((void)(p), 1u)
#else
#define GROUP(a) ((a)->group)
#define PIECES(p) ((p)->pieces)
#endif

typedef struct {
  uint32_t entries;            /* of a table */
  uint32_t groups;             /* of a part at a tap: a run */
  uint32_t lane_h, lane_w, shift_h, shift_w; /* outputs of a lane; from lane 0 to lane 1 */
  uint32_t width, slots;       /* columns of one phase, of all */
  uint32_t span, ring;         /* rows that a window covers, that the ring has */
  uint32_t runs, run_bytes;    /* of a part; codes of a run */
  uint32_t pieces;             /* sums that are added up */
  uint32_t columns;            /* of those */
} lut_plan;

TERNC_OUTER static TERNC_NOINLINE lut_plan plan_of(const lut_args *a) {
  lut_plan p;
  const uint32_t reach = (a->kernel_w - 1) * a->dilation_w;
  uint32_t phases = a->stride_w;
  p.entries = GROUP(a) == 4 ? 40 : 13;
  p.groups = (a->in_c + GROUP(a) * a->parts - 1) / (GROUP(a) * a->parts);
  p.run_bytes = GROUP(a) == 4 ? p.groups : (p.groups + 5) / 6 * 4;
  p.shift_h = a->out_h > 1 ? (a->out_h + 1) / 2 : 0;
  p.shift_w = a->out_h > 1 ? 0 : (a->out_w + 1) / 2;
  p.lane_h = a->out_h > 1 ? p.shift_h : 1;
  p.lane_w = a->out_h > 1 ? a->out_w : p.shift_w;
  if ((a->dilation_w == 1 || a->kernel_w == 1) && phases > a->kernel_w) phases = a->kernel_w;
  p.columns = (a->columns + 1) & ~1u;
  p.width = p.columns + reach / a->stride_w;
  p.slots = phases * p.width;
  p.span = (a->kernel_h - 1) * a->dilation_h + 1;
  p.ring = p.span + (a->rows - 1) * a->stride_h;
  p.columns *= a->rows;
  p.runs = a->kernel_h * a->kernel_w;
  p.pieces = (p.runs + a->chunk - 1) / a->chunk * a->parts;
  return p;
}

#define SUMS (TERNC_LUT_COLUMNS * TERNC_LUT_CHANNELS)

/* Scratch: the ring, a pixel of zero points, places of runs, lane sums, 32-bit sums. */
static uint64_t scratch_words(const lut_args *a, const lut_plan *p) {
  const uint64_t ring = ternc_mul_sat((uint64_t)p->ring * p->slots, (uint64_t)p->groups * p->entries);
  uint64_t rest = ((uint64_t)p->groups * GROUP(a) + 3) / 4 + 2 * (uint64_t)p->runs + SUMS;
  if (PIECES(p) > 1) rest += 2 * (uint64_t)p->columns * a->held;
  return ring > UINT32_MAX ? ring : ring + rest;
}

/* Whether codes are as many as a run has groups, and stay in their tables. */
TERNC_COLD static int codes_fit(const uint8_t *w, uint64_t bytes, uint32_t group, const lut_plan *p) {
  const uint8_t *const end = w + bytes;
  uint32_t left = 0, word;
  for (; w != end && group == 4; w++) {
    if (*w != 0 && (*w < 4 || *w > 4 * p->entries + 1 || (*w & 2) != 0)) return 0;
  }
  for (; w != end; w += 4) {
    uint32_t k;
    if (left == 0) left = p->groups;
    word = *(const uint32_t *)(const void *)w;
    for (k = 0; k < 6 && left > 0; k++, left--, word <<= 5) {
      if (word >> 27 == 0 || (word >> 27 & 15) > p->entries) return 0;
    }
    if (word != 0) return 0;
  }
  return 1;
}

TERNC_COLD static ternc_status check_conv2d_i8_t2_lut(const ternc_op *op) {
  const lut_args *a = (const lut_args *)op->args;
  uint64_t count;
  lut_plan p;
  if (ternc_conv_check(op, a->x_zero, TERNC_REQUANT_OF(a), TERNC_RESIDUAL_OF(a)) ||
      (a->group != 3 && a->group != 4) || a->group != GROUP(a) || !ternc_is_dim(a->columns) ||
      (a->rows != 1 && (a->rows != 2 || a->columns != TERNC_LUT_COLUMNS / 2)) ||
      !ternc_is_dim(a->parts) || !ternc_is_dim(a->chunk) || !ternc_is_dim(a->held) ||
      ((a->kernel_h | a->kernel_w | a->dilation_h | a->dilation_w | a->stride_h | a->stride_w) &
       ~255u) != 0) {
    return TERNC_E_OPERAND;
  }
  p = plan_of(a);
#ifdef TERNC_LUT_GROUP
  if (p.pieces > 1 || a->r != TERNC_NONE) return TERNC_E_OPERAND;
#endif
  count = ternc_mul_sat(ternc_mul_sat(p.runs, a->out_c), (uint64_t)p.run_bytes * a->parts);
  if ((uint64_t)(a->parts - 1) * p.groups * GROUP(a) >= a->in_c || /* a part without channels */
      (p.pieces > 1 && (a->columns > TERNC_LUT_COLUMNS || a->held > a->out_c)) ||
      ternc_expect(op, a->w, GROUP(a) == 3 ? TERNC_I32 : TERNC_U8,
                   GROUP(a) == 3 ? count / 4 : count) ||
      ternc_expect(op, a->scratch, TERNC_I32, scratch_words(a, &p))) {
    return TERNC_E_OPERAND;
  }
  return codes_fit((const uint8_t *)ternc_data(op, a->w), count, GROUP(a), &p) ? TERNC_OK
                                                                               : TERNC_E_OPERAND;
}

/* What a run of the kernel works on. */
typedef struct {
  const lut_args *a;
  lut_plan p;
  const int8_t *x, *zeros; /* the image, and a pixel outside of it */
  uint32_t *table;
} lut_job;

/* The first pixel of an input row; NULL outside of the image. */
static const int8_t *row_of(const lut_job *job, int32_t row) {
  if ((uint32_t)row >= job->a->in_h) return NULL;
  return job->x + (size_t)(uint32_t)row * job->a->in_w * job->a->in_c;
}

/* The last group of a pixel, at p and q, of fewer channels than a pattern has: the others read as 0. */
TERNC_OUTER static TERNC_NOINLINE void build_rest(const lut_args *a, uint32_t *t, size_t step, const int8_t *p,
                                      const int8_t *q) {
  int8_t last_p[4] = {0, 0, 0, 0}, last_q[4] = {0, 0, 0, 0};
  const uint32_t rest = a->in_c % GROUP(a);
  uint32_t i;
  for (i = 0; i < rest; i++) {
    last_p[i] = p[i];
    last_q[i] = q[i];
  }
  if (GROUP(a) == 4) ternc_lut_build4(t, step, last_p, last_q, 1);
  else ternc_lut_build3(t, step, last_p, last_q, 1);
}

/* A part's table row of window row `v` (0: the first that output row 0 reads) of the strip that
 * begins at output `first`: `used` columns of each phase. */
static TERNC_NOINLINE void build_row(const lut_job *job, uint32_t *t, uint32_t part, uint32_t v,
                                     uint32_t first, uint32_t used) {
  const lut_args *a = job->a;
  const lut_plan *p = &job->p;
  const int32_t row = (int32_t)v - a->pad_top;
  const int8_t *const line = row_of(job, row);
  const int8_t *const line_1 = row_of(job, row + (int32_t)(p->shift_h * a->stride_h));
  const uint32_t in_c = a->in_c, in_w = a->in_w, four = GROUP(a) == 4;
  const uint32_t from = part * p->groups * GROUP(a), left = in_c - from;
  const uint32_t whole = left / GROUP(a) < p->groups ? left / GROUP(a) : p->groups;
  const uint32_t most = whole == p->groups ? whole : (left + GROUP(a) - 1) / GROUP(a);
  const size_t step = (size_t)p->slots * p->entries;
  const uint32_t next = ternc_lut_next(p->entries);
  const size_t size = (size_t)a->in_h * in_w * in_c, need = (size_t)most * GROUP(a);
  const int8_t *const last = size < need ? NULL : job->x + (size - need);
  uint32_t phase, i;
  for (phase = 0; phase * p->width < p->slots; phase++, t += (p->width - used) * next) {
    uint32_t column = first * a->stride_w + phase - (uint32_t)a->pad_left;
    uint32_t column_1 = column + p->shift_w * a->stride_w;
    for (i = 0; i < used; i++, t += next) {
      const int8_t *p0 = job->zeros, *p1 = job->zeros;
      uint32_t groups = most; /* the last may take in other pixels' channels, of no weight */
      if (line != NULL && column < in_w) {
        p0 = line + column * in_c + from;
        if (last == NULL || p0 > last) groups = whole; /* or lie beyond the image */
      }
      if (line_1 != NULL && column_1 < in_w) {
        p1 = line_1 + column_1 * in_c + from;
        if (last == NULL || p1 > last) groups = whole;
      }
      column += a->stride_w;
      column_1 += a->stride_w;
      if (four) ternc_lut_build4(t, step, p0, p1, groups);
      else ternc_lut_build3(t, step, p0, p1, groups);
      if (groups != most) {
        build_rest(a, t + step * whole, step, p0 + GROUP(a) * whole, p1 + GROUP(a) * whole);
      }
    }
  }
}

/* Which outputs sums make: `count` in lane 0, `count_1` of them also in lane 1. */
typedef struct {
  int8_t *y; /* lane 0's first */
  uint32_t from, count, count_1;
} lut_line;

/* The outputs of a block of columns, in one line or two. */
typedef struct {
  ternc_lane_requant q;
  size_t lane_1;
  lut_line lines[2];
  uint32_t count;
} lut_outputs;

/* Stores those of `channels` channels from `o` on, from the bottom and the top halves of the sums. */
static void store_lanes(const uint32_t *sums, uint32_t o, uint32_t channels,
                        const lut_outputs *to) {
  const lut_line *line = to->lines, *const end = line + to->count;
  for (; line != end; line++) {
    const uint32_t both = line->count_1, alone = line->count - both;
    int8_t *const y = line->y + o, *const rest = y + both * to->q.step;
    const uint32_t *const from = sums + line->from;
    ternc_lane_store(&to->q, o, channels, from, both, y, y + to->lane_1);
    if (alone != 0) ternc_lane_store(&to->q, o, channels, from + both, alone, rest, rest);
  }
}

/* Adds the lanes of each channel's sums up to `wide`: lane 0's, then lane 1's; returns the end. */
static TERNC_NOINLINE uint32_t *add_wide(uint32_t *wide, const ternc_lut_rows *rows,
                                         uint32_t columns) {
  const uint32_t *sums = rows->sums;
  uint32_t channels;
  for (channels = rows->channels; channels > 0; channels--, sums += TERNC_LUT_COLUMNS) {
    const uint32_t *from = sums, *const end = sums + columns;
    for (; from != end; from++, wide++) {
      const uint32_t sum = *from;
      wide[0] += sum & 0xffffu;
      wide[columns] += sum >> 16;
    }
    wide += columns;
  }
  return wide;
}

static TERNC_NOINLINE void store_wide(const ternc_lane_requant *q, const uint32_t *wide, uint32_t o,
                                      uint32_t count, int8_t *y) {
  const int32_t m = q->m[o], c = q->c[o];
  for (y += o; count > 0; count--, wide++, y += q->step) {
    const int32_t v = ternc_requant32(*wide, m, c, q->shift, q->lo, q->hi);
    *y = q->add == NULL ? (int8_t)v : ternc_residual_sum(q->add, v, q->r[y - q->y]);
  }
}

/* The channels from `o` to `end` at up to 16 columns: one of their sums, whose codes begin at w. */
static TERNC_NOINLINE void compute(const lut_job *job, ternc_lut_rows *rows, const uint8_t *w,
                                   uint32_t o, uint32_t end, const lut_outputs *to) {
  const uint32_t codes = (uint32_t)(rows->runs_end - rows->runs) * rows->run_bytes;
  uint32_t *wide = rows->sums + SUMS;
  rows->codes = w + (size_t)o * codes;
  for (; o < end; o += rows->channels) {
    rows->channels = end - o < TERNC_LUT_CHANNELS ? end - o : TERNC_LUT_CHANNELS;
    ternc_lut_sum(rows, GROUP(job->a));
    rows->codes += codes * rows->channels;
    if (PIECES(&job->p) == 1) store_lanes(rows->sums, o, rows->channels, to);
    else wide = add_wide(wide, rows, job->p.columns);
  }
}

/* The outputs of the channels from `o` to `end`, from their 32-bit sums. */
static TERNC_NOINLINE void finish(const lut_job *job, const uint32_t *wide, uint32_t o, uint32_t end,
                                  const lut_outputs *to) {
  const uint32_t columns = job->p.columns;
  for (; o < end; o++, wide += 2 * columns) {
    uint32_t i;
    for (i = 0; i < to->count; i++) {
      const lut_line *line = to->lines + i;
      const uint32_t *const lane_1 = wide + columns + line->from;
      store_wide(&to->q, wide + line->from, o, line->count, line->y);
      store_wide(&to->q, lane_1, o, line->count_1, line->y + to->lane_1);
    }
  }
}

/* Where the runs find their entries, for the window at row `v` and column `first` of the strip; the
 * last 8 of 16 columns are `down` rows below the first or, where that is 0, beside them. */
static void place_runs(const lut_job *job, ternc_lut_place *runs, uint32_t v, uint32_t first,
                       uint32_t down, uint32_t all_beside) {
  const lut_args *a = job->a;
  const lut_plan *p = &job->p;
  const uint32_t row_words = p->groups * p->slots * p->entries;
  const uint32_t next = ternc_lut_next(p->entries);
  const uint32_t beside = down == 0 ? TERNC_LUT_COLUMNS / 2 * next : 0;
  uint32_t dy, dx;
  for (dy = 0; dy < a->kernel_h; dy++) {
    const uint32_t at = v + dy * a->dilation_h, row = at % p->ring * row_words;
    const uint32_t gap = ternc_lut_gap((at + down) % p->ring * row_words - row + beside);
    for (dx = 0; dx < a->kernel_w; dx++, runs++) {
      const uint32_t column = dx * a->dilation_w;
      const uint32_t slot = column % a->stride_w * p->width + column / a->stride_w + first;
      runs->first = ternc_lut_run(job->table, row + slot * next, all_beside, p->entries);
      runs->gap = gap;
    }
  }
}

/* The outputs of lane row `r` at `count` columns from `first`. */
static TERNC_NOINLINE lut_line line_of(const lut_job *job, int8_t *y, uint32_t r, uint32_t first,
                                       uint32_t from, uint32_t count) {
  const lut_args *a = job->a;
  const lut_plan *p = &job->p;
  const uint32_t end_1 = first + p->shift_w + count;
  lut_line line;
  line.y = y + ((size_t)r * a->out_w + first) * a->out_c;
  line.from = from;
  line.count = count;
  line.count_1 = r + p->shift_h < a->out_h ? count : 0;
  if (end_1 > a->out_w) line.count_1 -= end_1 - a->out_w; /* an odd one has no partner */
  return line;
}

/* The strip of `count` columns from column `first` of the lanes; y: the image's outputs. */
TERNC_OUTER static void strip(const lut_job *job, const ternc_op *op, int8_t *y, uint32_t first,
                  uint32_t count, ternc_lut_place *runs) {
  const lut_args *a = job->a;
  const lut_plan *p = &job->p;
  const size_t row_words = (size_t)p->groups * p->slots * p->entries;
  const uint32_t used = ((count + 1) & ~1u) + (a->kernel_w - 1) * a->dilation_w / a->stride_w;
  const uint8_t *const w = (const uint8_t *)ternc_data(op, a->w);
  uint32_t *const wide = (uint32_t *)(runs + p->runs) + SUMS;
  uint32_t r, o, end, part, row, at, tap, i, two, built = 0; /* rows below are no longer built */
  ternc_lut_rows rows;
  lut_outputs to;
  to.q.m = (const int32_t *)ternc_data(op, a->m);
  to.q.c = (const int32_t *)ternc_data(op, a->c);
  to.q.shift = a->shift;
  to.q.lo = a->lo;
  to.q.hi = a->hi;
  to.q.step = a->out_c;
  to.q.add = a->r == TERNC_NONE ? NULL : TERNC_RESIDUAL_OF(a);
  to.q.r = (const int8_t *)ternc_data(op, a->r);
  to.q.y = (int8_t *)ternc_data(op, a->y);
  to.lane_1 = ((size_t)p->shift_h * a->out_w + p->shift_w) * a->out_c;
  rows.sums = (uint32_t *)(runs + p->runs);
  rows.table = job->table;
  rows.run_bytes = p->run_bytes;
  rows.step = p->slots * p->entries;
  for (r = 0; r < p->lane_h; r += 1 + two) {
    const uint32_t v = r * a->stride_h;
    uint32_t needed;
    two = a->rows == 2 && r + 1 < p->lane_h; /* two rows of 8 columns */
    needed = v + p->span + two * a->stride_h;
    if (built < v) built = v;
    for (o = 0; o < a->out_c; o = end) {
      end = PIECES(p) == 1 || a->out_c - o < a->held ? a->out_c : o + a->held;
      for (i = 0; PIECES(p) > 1 && i < 2 * p->columns * (end - o); i++) {
        wide[i] = 0u - (PIECES(p) << 15); /* what the lanes of all pieces begin with */
      }
      for (part = 0; part < a->parts; part++) {
        for (row = a->parts == 1 ? built : v; row < needed; row++) {
          build_row(job, job->table + row % p->ring * row_words, part, row, first, used);
        }
        for (at = 0; at < count; at += TERNC_LUT_COLUMNS) {
          const uint32_t here = count - at < TERNC_LUT_COLUMNS ? count - at : TERNC_LUT_COLUMNS;
          rows.columns = two ? TERNC_LUT_COLUMNS : (here + 1) & ~1u;
          rows.beside = !two && here == TERNC_LUT_COLUMNS;
          place_runs(job, runs, v, at, two * a->stride_h, rows.beside);
          to.count = 1 + two;
          to.lines[0] = line_of(job, y, r, first + at, 0, here);
          if (two) to.lines[1] = line_of(job, y, r + 1, first + at, TERNC_LUT_COLUMNS / 2, here);
          for (tap = 0; tap < p->runs; tap += a->chunk) {
            const uint32_t left = p->runs - tap;
            rows.runs = runs + tap;
            rows.runs_end = rows.runs + (left < a->chunk ? left : a->chunk);
            compute(job, &rows, w + ((size_t)part * p->runs + tap) * a->out_c * p->run_bytes, o, end,
                    &to);
          }
        }
      }
      built = needed;
      if (PIECES(p) > 1) finish(job, wide, o, end, &to);
    }
  }
}

TERNC_OUTER static void run_conv2d_i8_t2_lut(const ternc_op *op, uint32_t begin, uint32_t end) {
  const lut_args *const a = (const lut_args *)op->args;
  lut_job job;
  uint32_t image, first, i;
  ternc_lut_place *runs;
  int8_t *zeros, *y;
  const int8_t *x;
  job.a = a;
  job.p = plan_of(a);
  job.table = (uint32_t *)ternc_data(op, a->scratch);
  zeros = (int8_t *)(job.table + (size_t)job.p.ring * job.p.slots * job.p.groups * job.p.entries);
  for (i = 0; i < job.p.groups * GROUP(a); i++) zeros[i] = (int8_t)a->x_zero;
  job.zeros = zeros;
  runs = (ternc_lut_place *)(void *)(zeros + ((job.p.groups * GROUP(a) + 3) & ~3u));
  x = (const int8_t *)ternc_data(op, a->x);
  y = (int8_t *)ternc_data(op, a->y);
  (void)begin; /* the tables serve every output: the work does not divide */
  (void)end;
  for (image = 0; image < a->n; image++) {
    job.x = x + (size_t)image * a->in_h * a->in_w * a->in_c;
    for (first = 0; first < job.p.lane_w; first += a->columns) {
      const uint32_t left = job.p.lane_w - first;
      strip(&job, op, y, first, left < a->columns ? left : a->columns, runs);
    }
    y += (size_t)a->out_h * a->out_w * a->out_c;
  }
}

#ifdef TERNC_LUT_GROUP
#define FORM(name, check, run) TERNC_KERNEL_FORM(name, conv2d_i8_t2_lut, check, NULL, run)
FORM(TERNC_LUT_FORM, check_conv2d_i8_t2_lut, run_conv2d_i8_t2_lut)
#else
TERNC_KERNEL(conv2d_i8_t2_lut, check_conv2d_i8_t2_lut, NULL, run_conv2d_i8_t2_lut)
#endif

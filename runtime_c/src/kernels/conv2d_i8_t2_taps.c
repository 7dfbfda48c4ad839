/* Convolution with one input channel per group, ternary weights, in two lanes: one word holds two
 * positions of the output, half an image apart along the `long` axis: rows, or columns where there
 * is only one row.
 *
 * Each channel is gathered into a plane of lane words, padding included: a line for each position
 * of the other axis, in which positions along the long axis follow each other, sorted by their
 * phase (position modulo stride). A window is then a list of offsets that are added or taken off. */
#include "conv2d_taps.h"
#include "tap_axes.h"
#include "tap_rows.h"

typedef ternc_conv2d_i8_t2_taps_args tap_args;

typedef struct {
  ternc_tap_axis along, across; /* the long axis, the other one */
  uint32_t lane;              /* outputs of a lane along the long axis */
  uint32_t phases, width;     /* words of one phase */
  uint32_t pitch, lines;      /* words of a line, lines of the plane */
} tap_plan;

static TERNC_NOINLINE tap_plan plan_of(const tap_args *a) {
  tap_plan p;
  TERNC_TAP_AXES(a, p.along, p.across);
  p.lane = (p.along.out + 1) / 2;
  p.phases = ternc_tap_phases(&p.along);
  p.width = ((p.lane + 1) & ~1u) + (p.along.kernel - 1) * p.along.dilation / p.along.stride;
  p.pitch = p.phases * p.width;
  p.lines = (p.across.out - 1) * p.across.stride + (p.across.kernel - 1) * p.across.dilation + 1;
  return p;
}

static ternc_status check_conv2d_i8_t2_taps(const ternc_op *op) {
  const tap_args *a = (const tap_args *)op->args;
  uint64_t taps, words;
  tap_plan p;
  if (ternc_depthwise_check(op, a->x_zero, TERNC_REQUANT_OF(a)) ||
      ((a->kernel_h | a->kernel_w | a->dilation_h | a->dilation_w | a->stride_h | a->stride_w) &
       ~255u) != 0) {
    return TERNC_E_OPERAND;
  }
  p = plan_of(a);
  taps = (uint64_t)a->kernel_h * a->kernel_w;
  words = (uint64_t)p.pitch * p.lines + 2 * taps + TERNC_TAP_COLUMNS * TERNC_TAP_LINES;
  if (ternc_expect(op, a->w, TERNC_U8, ternc_t2_bytes(taps * a->out_c)) ||
      ternc_expect(op, a->scratch, TERNC_I32, words)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A stretch of a line in which neither lane enters or leaves the image. A lane outside of it reads
 * a zero point with a step of 0. */
typedef struct {
  uint32_t word, count;
  int32_t low, high; /* elements from the line's first to the stretch's first; -1: outside */
} tap_stretch;

enum { STRETCHES = 5 };

/* How many of `count` positions, `step` apart from `at` on, lie before `limit`. */
static uint32_t before(int32_t at, int32_t limit, uint32_t step, uint32_t count) {
  uint32_t n;
  if (at >= limit) return 0;
  n = ((uint32_t)(limit - at) + step - 1) / step;
  return n < count ? n : count;
}

/* The stretches of one phase that meet the image. */
static TERNC_NOINLINE uint32_t stretches_of(const tap_plan *p, uint32_t phase, tap_stretch *out) {
  const ternc_tap_axis *l = &p->along;
  const int32_t at = (int32_t)phase - l->pad, at_1 = at + (int32_t)(p->lane * l->stride);
  const uint32_t cuts[4] = {before(at, 0, l->stride, p->width),
                            before(at, (int32_t)l->in, l->stride, p->width),
                            before(at_1, 0, l->stride, p->width),
                            before(at_1, (int32_t)l->in, l->stride, p->width)};
  uint32_t i = 0, k, n = 0;
  while (i < p->width) {
    const int32_t offset = (int32_t)(i * l->stride);
    const int low = i >= cuts[0] && i < cuts[1], high = i >= cuts[2] && i < cuts[3];
    uint32_t next = p->width;
    for (k = 0; k < 4; k++) {
      if (cuts[k] > i && cuts[k] < next) next = cuts[k];
    }
    if (low || high) {
      out[n].word = phase * p->width + i;
      out[n].count = next - i;
      out[n].low = low ? (at + offset) * (int32_t)l->x_step : -1;
      out[n].high = high ? (at_1 + offset) * (int32_t)l->x_step : -1;
      n++;
    }
    i = next;
  }
  return n;
}

/* A channel's plane; x is the channel's first element. Words that miss the image in both lanes
 * hold zero points already. */
static TERNC_NOINLINE void gather(const tap_plan *p, const int8_t *x, const int8_t *zero,
                                  tap_stretch *stretches, uint32_t *count, uint32_t *t) {
  const size_t step = (size_t)p->along.stride * p->along.x_step;
  uint32_t phase, line;
  for (phase = 0; phase < p->phases; phase++) {
    const tap_stretch *last;
    if (*count == 0 || p->phases > 1) *count = stretches_of(p, phase, stretches);
    last = stretches + *count; /* kept from channel to channel where there is one phase */
    for (line = 0; line < p->lines; line++) {
      const uint32_t at = (uint32_t)((int32_t)line - p->across.pad);
      const int8_t *const base = x + (size_t)at * p->across.x_step;
      uint32_t *const words = t + (size_t)line * p->pitch;
      const tap_stretch *s = stretches;
      if (at >= p->across.in) continue;
      for (; s != last; s++) {
        const int8_t *low = s->low < 0 ? zero : base + s->low;
        const int8_t *high = s->high < 0 ? zero : base + s->high;
        const size_t low_step = s->low < 0 ? 0 : step, high_step = s->high < 0 ? 0 : step;
        uint32_t *to = words + s->word, *const end = to + s->count;
        if ((s->count & 1u) != 0) {
          *to++ = (uint32_t)(*low + *high * 65536);
          low += low_step;
          high += high_step;
        }
        for (; to != end; to += 2) {
          const int32_t low_0 = *low, high_0 = *high;
          int32_t low_1, high_1;
          low += low_step;
          high += high_step;
          low_1 = *low;
          high_1 = *high;
          low += low_step;
          high += high_step;
          to[0] = (uint32_t)(low_0 + high_0 * 65536);
          to[1] = (uint32_t)(low_1 + high_1 * 65536);
        }
      }
    }
  }
}

/* The offset of each tap, in bytes. */
static void place_taps(const tap_args *a, const tap_plan *p, uint32_t *offsets) {
  const int upright = a->out_h > 1;
  uint32_t ky, kx;
  for (ky = 0; ky < a->kernel_h; ky++) {
    for (kx = 0; kx < a->kernel_w; kx++) {
      const uint32_t along = (upright ? ky : kx) * p->along.dilation;
      const uint32_t across = (upright ? kx : ky) * p->across.dilation;
      *offsets++ = 4 * (across * p->pitch + along % p->along.stride * p->width +
                        along / p->along.stride);
    }
  }
}

/* The offsets of an output channel's weights, first those of -1: from `at` on in w, which holds
 * four weights to a byte. */
static TERNC_NOINLINE void list_taps(const uint32_t *offsets, uint32_t size, const uint8_t *w,
                                     size_t at, uint32_t *taps, ternc_tap_rows *rows) {
  uint32_t *minus = taps, *plus = taps + size;
  const uint32_t *const end = offsets + size;
  uint32_t byte = (uint32_t)w[at >> 2] << (24 + 2 * (at & 3)); /* the next weight on top */
  for (w += at >> 2; offsets != end; offsets++) {
    if ((int32_t)byte < 0) *minus++ = *offsets;
    else if ((int32_t)(byte << 1) < 0) *--plus = *offsets;
    byte <<= 2;
    if ((++at & 3) == 0 && offsets + 1 != end) byte = (uint32_t)*++w << 24;
  }
  rows->taps = taps;
  rows->minus_end = minus;
  while (plus != taps + size) *minus++ = *plus++; /* behind them */
  rows->end = minus;
}

/* The outputs of `rows->lines` lines, from the bottom and the top halves of the sums. Lines are
 * `next` outputs apart and, where they are parts of one line, `advance` positions. */
static TERNC_NOINLINE void store(const tap_args *a, const tap_plan *p, const ternc_tap_rows *rows,
                                 uint32_t first, uint32_t advance, int8_t *line, int32_t m,
                                 int32_t c) {
  const uint32_t lane_c = ternc_lane_c(m, c), shift = a->shift, top = 0xffff0000u;
  const int32_t lo = a->lo, hi = a->hi;
  const size_t step = p->along.y_step, lane_1 = p->lane * step;
  const size_t next = advance == 0 ? p->across.y_step : advance * step;
  const uint32_t pairs = p->along.out - p->lane; /* positions that both lanes have */
  const uint32_t *from = rows->sums;
  uint32_t i;
  for (i = 0; i < rows->lines; i++, from += TERNC_TAP_COLUMNS, line += next, first += advance) {
    const uint32_t left = p->lane - first, right = first < pairs ? pairs - first : 0;
    const uint32_t count = left < rows->columns ? left : rows->columns;
    const uint32_t *sums = from, *end = from + (right < count ? right : count);
    int8_t *y = line;
    for (; sums != end; sums++, y += step) {
      const uint32_t sum = *sums;
      y[0] = (int8_t)ternc_requant_lane(sum << 16, m, lane_c, shift, lo, hi);
      y[lane_1] = (int8_t)ternc_requant_lane(sum & top, m, lane_c, shift, lo, hi);
    }
    for (end = from + count; sums != end; sums++, y += step) { /* without a partner */
      *y = (int8_t)ternc_requant_lane(*sums << 16, m, lane_c, shift, lo, hi);
    }
  }
}

/* All outputs of one channel. */
static TERNC_NOINLINE void channel(const tap_args *a, const tap_plan *p, const uint32_t *plane,
                                   ternc_tap_rows *rows, int8_t *y, int32_t m, int32_t c) {
  const uint32_t parts = (p->lane + TERNC_TAP_COLUMNS - 1) / TERNC_TAP_COLUMNS;
  const uint32_t most = ((p->lane + parts - 1) / parts + 1) & ~1u; /* even, all about the same */
  uint32_t line, first;
  rows->columns = most; /* what the last part has too many is not stored */
  if (p->across.out == 1) { /* the parts are lines */
    rows->line_bytes = 4 * most;
    for (first = 0; first < p->lane; first += rows->lines * most) {
      const uint32_t left = (p->lane - first + most - 1) / most;
      rows->lines = left < TERNC_TAP_LINES ? left : TERNC_TAP_LINES;
      rows->base = plane + first;
      ternc_tap_sum(rows);
      store(a, p, rows, first, most, y + (size_t)first * p->along.y_step, m, c);
    }
    return;
  }
  rows->line_bytes = 4 * p->across.stride * p->pitch;
  for (first = 0; first < p->lane; first += most) {
    for (line = 0; line < p->across.out; line += rows->lines) {
      rows->lines = p->across.out - line < TERNC_TAP_LINES ? p->across.out - line : TERNC_TAP_LINES;
      rows->base = plane + (size_t)line * p->across.stride * p->pitch + first;
      ternc_tap_sum(rows);
      store(a, p, rows, first, 0,
            y + (size_t)line * p->across.y_step + (size_t)first * p->along.y_step, m, c);
    }
  }
}

static void run_conv2d_i8_t2_taps(const ternc_op *op, uint32_t begin, uint32_t end) {
  const tap_args a = *(const tap_args *)op->args; /* a copy, which no store to y can change */
  const tap_plan p = plan_of(&a);
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  const uint8_t *w = (const uint8_t *)ternc_data(op, a.w);
  const int32_t *m = (const int32_t *)ternc_data(op, a.m);
  const int32_t *c = (const int32_t *)ternc_data(op, a.c);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *plane = (uint32_t *)ternc_data(op, a.scratch), *offsets = plane + (size_t)p.pitch * p.lines;
  const uint32_t per_input = a.out_c / a.groups, size = a.kernel_h * a.kernel_w;
  uint32_t *const taps = offsets + size, *t;
  const int8_t zero = (int8_t)a.x_zero;
  uint32_t image, o, count = 0;
  tap_stretch stretches[STRETCHES];
  ternc_tap_rows rows;
  rows.sums = taps + size;
  for (t = plane; t != offsets; t++) *t = (uint32_t)(zero + zero * 65536);
  place_taps(&a, &p, offsets);
  (void)begin; /* the scratch is one: the work does not divide */
  (void)end;
  for (image = 0; image < a.n; image++) {
    for (o = 0; o < a.out_c; o++) {
      if (o % per_input == 0) gather(&p, x + o / per_input, &zero, stretches, &count, plane);
      list_taps(offsets, size, w, (size_t)o * size, taps, &rows);
      channel(&a, &p, plane, &rows, y + o, m[o], c[o]);
    }
    x += (size_t)a.in_h * a.in_w * a.in_c;
    y += (size_t)a.out_h * a.out_w * a.out_c;
  }
}

TERNC_KERNEL(conv2d_i8_t2_taps, check_conv2d_i8_t2_taps, NULL, run_conv2d_i8_t2_taps)

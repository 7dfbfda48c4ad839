/* Convolution with one input channel per group, ternary weights as lists of taps, in two lanes: a
 * word holds two positions of the output, half an image apart along the `long` axis: rows, or
 * columns where there is only one row.
 *
 * Inputs are gathered into a plane of lane words, padding included: a line for each position of the
 * other axis, in which positions along the long axis follow each other, sorted by their phase
 * (position modulo stride). Each word has 8 slots: of 8 channels or, where several outputs read one
 * channel, of up to 8 parts of its image. Of 8 channels the plane has what `lines` lines of outputs
 * need: for the next ones, lines that both read are moved, so that the outputs may lie where the
 * inputs did. Lanes hold activations plus 128, so that a byte that is
 * stored makes a lane; the sums' bias takes it off again. */
#include "conv2d_taps.h"
#include "tap_axes.h"
#include "tap_bytes.h"

typedef ternc_conv2d_i8_t2_lists_args list_args;

enum { SLOTS = TERNC_TAP_SLOTS, TAPS = 128, BATCH = 8, BEHIND = 3, CODES = TERNC_TAP_MINUS_MINUS + 1 };

typedef struct {
  ternc_tap_axis along, across; /* the long axis, the other one */
  uint32_t lane;                /* outputs of a lane along the long axis */
  uint32_t columns, strips;     /* of a lane */
  uint32_t channels, parts;     /* in the slots: one of both is 1 */
  uint32_t part_strips, part_lines;
  uint32_t phases, width;       /* words of one phase */
  uint32_t pitch, lines, kept;  /* words of a line; lines of a slot, those that the next part reads */
} list_plan;

TERNC_OUTER static TERNC_NOINLINE void plan(const list_args *a, list_plan *p) {
  TERNC_TAP_AXES(a, p->along, p->across);
  p->lane = (p->along.out + 1) / 2;
  p->strips = (p->lane + TERNC_TAP_COLUMNS - 1) / TERNC_TAP_COLUMNS;
  p->columns = (p->lane + p->strips - 1) / p->strips; /* all about the same */
  p->channels = a->out_c == a->in_c && a->in_c > 1 ? SLOTS : 1;
  p->parts = 1;
  p->part_strips = p->strips;
  p->part_lines = p->across.out;
  if (p->channels > 1) {
    p->part_lines = a->lines;
  } else if (p->across.out > 1) {
    p->part_lines = (p->across.out + SLOTS - 1) / SLOTS;
    p->parts = (p->across.out + p->part_lines - 1) / p->part_lines;
  } else {
    p->part_strips = (p->strips + SLOTS - 1) / SLOTS;
    p->parts = (p->strips + p->part_strips - 1) / p->part_strips;
  }
  p->phases = ternc_tap_phases(&p->along);
  p->width = p->part_strips * p->columns + (p->along.kernel - 1) * p->along.dilation / p->along.stride;
  p->pitch = p->phases * p->width;
  p->lines = (p->part_lines - 1) * p->across.stride + (p->across.kernel - 1) * p->across.dilation + 1;
  p->kept = p->lines > p->part_lines * p->across.stride ? p->lines - p->part_lines * p->across.stride : 0;
}

/* Scratch: the plane and words that are read for nothing, lists, what codes stand for, bytes. */
static uint64_t plane_words(const list_plan *p) { return ((uint64_t)p->pitch * p->lines + BEHIND) * SLOTS; }

static uint64_t scratch_words(const list_plan *p, uint32_t taps) {
  return plane_words(p) + SLOTS * (3 + 2 * (taps + 3)) + 4 * CODES * taps + BATCH * TERNC_TAP_LANE / 2;
}

/* Whether each output's list, a count and as many codes, stays in the window, and there is nothing
 * else. A code is kind*taps + tap. */
TERNC_COLD static int are_lists(const list_args *a, const list_plan *p, const uint8_t *w, uint32_t size) {
  const uint32_t taps = a->kernel_h * a->kernel_w;
  const uint8_t *const end = w + size;
  uint32_t o;
  for (o = 0; o < a->out_c; o++) {
    uint32_t count;
    if (w == end) return 0;
    count = *w++;
    if (count > taps || count > (size_t)(end - w)) return 0;
    for (; count > 0; count--, w++) {
      const uint32_t kind = *w / taps, tap = *w % taps;
      const uint32_t along = a->out_h > 1 ? tap / a->kernel_w : tap % a->kernel_w;
      if (kind >= CODES) return 0;
      if (kind > TERNC_TAP_MINUS && /* the neighbour must be a tap, too */
          (p->along.dilation != 1 || along + p->along.stride >= p->along.kernel)) {
        return 0;
      }
    }
  }
  return w == end;
}

TERNC_COLD static ternc_status check_conv2d_i8_t2_lists(const ternc_op *op) {
  const list_args *a = (const list_args *)op->args;
  list_plan p;
  if (ternc_depthwise_check(op, a->x_zero, TERNC_REQUANT_OF(a)) || a->kernel_h > TAPS ||
      a->kernel_w > TAPS || a->kernel_h * a->kernel_w > TAPS ||
      ((a->dilation_h | a->dilation_w | a->stride_h | a->stride_w) & ~255u) != 0) {
    return TERNC_E_OPERAND;
  }
  plan(a, &p);
  if (a->lines == 0 || a->lines > p.across.out || ternc_expect(op, a->w, TERNC_U8, a->out_c) ||
      ternc_expect(op, a->scratch, TERNC_I32, scratch_words(&p, a->kernel_h * a->kernel_w)) ||
      !are_lists(a, &p, (const uint8_t *)ternc_data(op, a->w), ternc_record(op, a->w)->size)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* An entry of a list, and what it adds to the sums' bias; 16 bytes are reached by a shift. */
typedef struct {
  ternc_tap tap;
  uint32_t bias, unused;
} list_code;

/* What a run of the kernel works on. */
typedef struct {
  const list_args *a;
  list_plan p;
  uint32_t *plane;
  uint32_t *lists, *lists_end;
  list_code *codes;
  uint8_t *bytes;
  uint32_t targets[TERNC_TAP_KINDS];
  uint32_t zero; /* a word of zero points */
} list_job;

/* How many of `count` positions, `step` apart from `at` on, lie before `limit`. */
static uint32_t before(int32_t at, int32_t limit, uint32_t step, uint32_t count) {
  uint32_t n;
  if (at >= limit) return 0;
  n = ((uint32_t)(limit - at) + step - 1) / step;
  return n < count ? n : count;
}

/* A part of the image. */
typedef struct {
  uint32_t slot, first, line; /* its first output along, and across */
  uint32_t kept;              /* lines that the plane has already */
} list_part;

static list_part part_of(const list_plan *p, uint32_t slot) {
  list_part part;
  const int by_line = p->part_lines != p->across.out;
  part.slot = slot;
  part.first = by_line ? 0 : slot * p->part_strips * p->columns;
  part.line = by_line ? slot * p->part_lines : 0;
  part.kept = 0;
  return part;
}

/* One lane of a part; x is the first channel's first element. What misses the image holds the zero
 * point already. */
static TERNC_NOINLINE void gather(const list_job *job, const int8_t *x, uint32_t channels,
                                  const list_part *part, uint32_t lane) {
  const list_plan *p = &job->p;
  const uint32_t stride = p->along.stride, first = part->first + lane * p->lane;
  const int32_t along = (int32_t)(first * stride) - p->along.pad;
  const int32_t across = (int32_t)(part->line * p->across.stride) - p->across.pad;
  const uint32_t missing = before(across, 0, 1, p->lines);
  const uint32_t line = missing < part->kept ? part->kept : missing;
  const uint32_t line_end = before(across, (int32_t)p->across.in, 1, p->lines);
  ternc_tap_pixels pixels;
  uint32_t phase;
  if (line_end <= line) return;
  x += (across + (int32_t)line) * (int32_t)p->across.x_step;
  pixels.lines = line_end - line;
  pixels.channels = channels;
  pixels.x_line = p->across.x_step;
  pixels.x_step = (size_t)stride * p->along.x_step;
  pixels.line = 4 * SLOTS * (size_t)p->pitch;
  for (phase = 0; phase < p->phases; phase++) {
    const int32_t at = along + (int32_t)phase;
    const uint32_t skip = before(at, 0, stride, p->width);
    const uint32_t end = before(at, (int32_t)p->along.in, stride, p->width);
    const uint32_t word = line * p->pitch + phase * p->width + skip;
    if (end <= skip) continue;
    pixels.count = end - skip;
    ternc_tap_put(&pixels, x + (at + (int32_t)(skip * stride)) * (int32_t)p->along.x_step,
                  (uint8_t *)(job->plane + (size_t)word * SLOTS + part->slot) + 2 * lane);
  }
}

/* What each code, kind*taps + tap, stands for. */
static TERNC_NOINLINE void place_taps(list_job *job) {
  static const int8_t signs[CODES] = {1, -1, 2, 0, 0, -2};
  const list_args *a = job->a;
  const list_plan *p = &job->p;
  const uint32_t upright = a->out_h > 1, taps = a->kernel_h * a->kernel_w;
  list_code *code = job->codes;
  uint32_t kind, ky, kx;
  ternc_tap_targets(job->targets, p->columns, p->strips == 1 && p->along.out % 2 != 0);
  for (ky = 0; ky < a->kernel_h; ky++) {
    for (kx = 0; kx < a->kernel_w; kx++, code++) {
      const uint32_t along = (upright ? ky : kx) * p->along.dilation;
      const uint32_t across = (upright ? kx : ky) * p->across.dilation;
      const uint32_t offset = 4 * SLOTS * (across * p->pitch + along % p->along.stride * p->width +
                                           along / p->along.stride);
      list_code *to = code;
      for (kind = 0; kind < CODES; kind++, to += taps) {
        to->tap.offset = offset;
        to->tap.target = job->targets[kind];
        to->bias = (uint32_t)signs[kind] * (0u - 0x800080u);
      }
    }
  }
}

/* The lists and the constants of `count` output channels, whose slots are `slot_step` apart;
 * returns the weights behind theirs. */
static TERNC_NOINLINE const uint8_t *list(list_job *job, const uint8_t *w, const int32_t *m,
                                          const int32_t *c, uint32_t count, uint32_t slot_step) {
  const uint32_t low = (uint32_t)job->a->lo << job->a->shift;
  const uint32_t taps = job->a->kernel_h * job->a->kernel_w;
  const uint32_t *const targets = job->targets, end_target = targets[TERNC_TAP_END];
  const list_code *const codes = job->codes;
  uint32_t *to = job->lists, slot = 0;
  for (; count > 0; count--, slot += slot_step) {
    const uint8_t *const end = w + 1 + *w;
    ternc_tap_channel *const channel = (ternc_tap_channel *)(void *)to;
    ternc_tap *tap = (ternc_tap *)(void *)(channel + 1);
    uint32_t bias = TERNC_LANES;
    channel->m = (uint32_t)*m;
    channel->c = ternc_lane_c(*m++, *c++) - low;
    if (++w == end || *w >= 2 * taps) { /* no single tap: a word, added and taken off */
      tap->offset = slot;
      tap++->target = targets[TERNC_TAP_FIRST_PLUS];
      tap->offset = slot;
      tap++->target = targets[TERNC_TAP_MINUS];
    } else {
      tap->offset = codes[*w].tap.offset + slot;
      tap++->target = targets[*w < taps ? TERNC_TAP_FIRST_PLUS : TERNC_TAP_FIRST_MINUS];
      bias += codes[*w++].bias;
    }
    for (; w != end; w++, tap++) {
      const list_code *code = codes + *w;
      const uint32_t target = code->tap.target;
      bias += code->bias;
      tap->offset = code->tap.offset + slot;
      tap->target = target;
    }
    tap->offset = 0;
    tap++->target = end_target;
    channel->bias = bias;
    to = (uint32_t *)(void *)tap;
  }
  job->lists_end = to;
  return w;
}

/* The outputs of `count` channels, whose lists are there, in a part; y is the first one's first
 * element. */
static TERNC_NOINLINE void compute(const list_job *job, int8_t *y, uint32_t count,
                                   const list_part *part) {
  const list_plan *p = &job->p;
  const uint32_t pairs = p->along.out - p->lane; /* positions that both lanes have */
  const uint32_t left = p->across.out - part->line;
  const uint32_t lines = left < p->part_lines ? left : p->part_lines;
  uint32_t line, s, first = part->first;
  ternc_tap_strips strips;
  ternc_tap_outputs to;
  strips.lists = job->lists;
  strips.end = job->lists_end;
  strips.columns = p->columns;
  strips.base_step = 4 * SLOTS * p->across.stride * p->pitch;
  strips.bytes = job->bytes;
  strips.shift = job->a->shift;
  strips.range = (uint32_t)(job->a->hi - job->a->lo);
  strips.targets = NULL;
  to.channels = count;
  to.lo = job->a->lo;
  to.step = p->along.y_step;
  to.strip = p->across.y_step;
  to.lane_1 = p->lane * to.step;
  for (s = 0; s < p->part_strips && first < p->lane; s++, first += p->columns) {
    const uint32_t rest = p->lane - first, both = first < pairs ? pairs - first : 0;
    to.count = rest < p->columns ? rest : p->columns;
    to.count_1 = both < to.count ? both : to.count;
    for (line = 0; line < lines; line += strips.strips) {
      const uint32_t most = lines - line;
      strips.strips = most < BATCH ? most : BATCH;
      strips.base = job->plane + part->slot + s * p->columns * SLOTS +
                    (size_t)line * (strips.base_step / 4);
      ternc_tap_run(&strips);
      to.strips = strips.strips;
      ternc_tap_get(&to, job->bytes, y + (part->line + line) * to.strip + first * to.step);
    }
  }
}

static TERNC_NOINLINE void fill(uint32_t *t, const uint32_t *end, uint32_t word) {
  for (; t != end; t += SLOTS) t[0] = t[1] = t[2] = t[3] = t[4] = t[5] = t[6] = t[7] = word;
}

/* The outputs of 8 channels, whose lists are there, line by line; x, y: the first one's. */
TERNC_OUTER static void run_lines(const list_job *job, const int8_t *x, int8_t *y, uint32_t count) {
  const list_plan *p = &job->p;
  const size_t line = (size_t)p->pitch * SLOTS;
  const uint32_t *const from = job->plane + p->part_lines * p->across.stride * line;
  list_part part = {0, 0, 0, 0};
  for (; part.line < p->across.out; part.line += p->part_lines) {
    size_t i;
    for (i = 0; i < part.kept * line; i++) job->plane[i] = from[i];
    if (p->part_lines != p->across.out) {
      fill(job->plane + part.kept * line, job->plane + p->lines * line, job->zero);
    }
    gather(job, x, count, &part, 0);
    gather(job, x, count, &part, 1);
    compute(job, y, count, &part);
    part.kept = p->kept;
  }
}

/* One image: inputs `p.channels` at a time, and the outputs that read them 8 at a time. */
TERNC_OUTER static void run_image(list_job *job, const ternc_op *op, const int8_t *x, int8_t *y) {
  const list_plan *p = &job->p;
  const uint8_t *w = (const uint8_t *)ternc_data(op, job->a->w);
  const int32_t *m = (const int32_t *)ternc_data(op, job->a->m);
  const int32_t *c = (const int32_t *)ternc_data(op, job->a->c);
  const uint32_t per_input = job->a->out_c / job->a->in_c;
  uint32_t input, o = 0, part;
  for (input = 0; input < job->a->in_c; input += p->channels) {
    const uint32_t rest = job->a->in_c - input, inputs = rest < p->channels ? rest : p->channels;
    const uint32_t end = o + inputs * per_input;
    if (p->channels > 1) {
      w = list(job, w, m + o, c + o, inputs, 4);
      run_lines(job, x + input, y + o, inputs);
      o = end;
      continue;
    }
    for (part = 0; part < p->parts; part++) {
      const list_part here = part_of(p, part);
      gather(job, x + input, inputs, &here, 0);
      gather(job, x + input, inputs, &here, 1);
    }
    while (o < end) {
      const uint32_t count = end - o < SLOTS ? end - o : SLOTS;
      w = list(job, w, m + o, c + o, count, 0);
      for (part = 0; part < p->parts; part++) {
        const list_part here = part_of(p, part);
        compute(job, y + o, count, &here);
      }
      o += count;
    }
  }
}

TERNC_OUTER static void run_conv2d_i8_t2_lists(const ternc_op *op, uint32_t begin, uint32_t end) {
  const list_args *const a = (const list_args *)op->args;
  const int8_t *x;
  int8_t *y;
  uint32_t image, taps;
  list_job job;
  job.a = a;
  plan(a, &job.p);
  taps = a->kernel_h * a->kernel_w;
  job.plane = (uint32_t *)ternc_data(op, a->scratch);
  job.lists = job.plane + plane_words(&job.p);
  job.codes = (list_code *)(void *)(job.lists + SLOTS * (3 + 2 * (taps + 3)));
  job.bytes = (uint8_t *)(job.codes + CODES * taps);
  job.zero = (uint32_t)(a->x_zero + 128) * 0x10001u;
  fill(job.plane, job.lists, job.zero);
  place_taps(&job);
  x = (const int8_t *)ternc_data(op, a->x);
  y = (int8_t *)ternc_data(op, a->y);
  (void)begin; /* the scratch is one: the work does not divide */
  (void)end;
  for (image = 0; image < a->n; image++) {
    run_image(&job, op, x, y);
    x += (size_t)a->in_h * a->in_w * a->in_c;
    y += (size_t)a->out_h * a->out_w * a->out_c;
  }
}

TERNC_KERNEL(conv2d_i8_t2_lists, check_conv2d_i8_t2_lists, NULL, run_conv2d_i8_t2_lists)

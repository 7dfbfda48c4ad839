/* Driver of generated straight-line convolutions: packs two image halves into the lanes of 32-bit
 * words, calls the code for each position, requantizes.
 *
 * Lane 0 holds output row r, lane 1 row r + half, half = ceil(out_h / 2); both read the same
 * offsets of the packed image. A lane word is lo + hi * 65536 as a plain integer. */
#include "ternc_lines.h"

#include "ternc_arith.h"

typedef ternc_conv2d_i8_lines_args args_t;

static uint32_t image_rows(const args_t *a) {
  return (a->strip - 1) * a->stride_h + (a->kernel_h - 1) * a->dilation_h + 1;
}

static uint32_t image_cols(const args_t *a) {
  return (a->out_w - 1) * a->stride_w + (a->kernel_w - 1) * a->dilation_w + 1;
}

ternc_status ternc_lines_check(const ternc_op *op) {
  const args_t *a = (const args_t *)op->args;
  if (!ternc_is_dim(a->n) || !ternc_is_dim(a->in_h) || !ternc_is_dim(a->in_w) ||
      !ternc_is_dim(a->in_c) || !ternc_is_dim(a->out_h) || !ternc_is_dim(a->out_w) ||
      !ternc_is_dim(a->out_c) || a->kernel_h - 1u > 255 || a->kernel_w - 1u > 255 ||
      a->stride_h - 1u > 255 || a->stride_w - 1u > 255 || a->dilation_h - 1u > 255 ||
      a->dilation_w - 1u > 255 || !ternc_is_offset(a->pad_top) || !ternc_is_offset(a->pad_left) ||
      !ternc_is_dim(a->strip) || a->strip > a->out_h || a->chunks - 1u >= TERNC_LINES_CHUNKS ||
      a->out_h > 65536 || a->out_w > 65536 || !ternc_is_i8(a->x_zero) || a->shift > 31 ||
      !ternc_is_requant(a->shift, a->lo, a->hi)) {
    return TERNC_E_OPERAND;
  }
  if (ternc_expect(op, a->x, TERNC_I8,
                   ternc_mul_sat((uint64_t)a->n * a->in_h, (uint64_t)a->in_w * a->in_c)) ||
      ternc_expect(op, a->y, TERNC_I8,
                   ternc_mul_sat((uint64_t)a->n * a->out_h, (uint64_t)a->out_w * a->out_c)) ||
      ternc_expect(op, a->m, TERNC_I32, a->out_c) || ternc_expect(op, a->c, TERNC_I32, a->out_c) ||
      ternc_expect(op, a->image, TERNC_I32,
                   ternc_mul_sat((uint64_t)image_rows(a) * image_cols(a), a->in_c))) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* `count` words of two lanes; a missing lane reads x_zero. */
static uint32_t *pack_run(uint32_t *image, const int8_t *lane0, const int8_t *lane1, int32_t x_zero,
                          uint32_t count) {
  uint32_t *const end = image + count;
  if (lane0 != NULL && lane1 != NULL) {
    for (; end - image >= 8; image += 8, lane0 += 8, lane1 += 8) {
      image[0] = (uint32_t)lane0[0] + ((uint32_t)lane1[0] << 16);
      image[1] = (uint32_t)lane0[1] + ((uint32_t)lane1[1] << 16);
      image[2] = (uint32_t)lane0[2] + ((uint32_t)lane1[2] << 16);
      image[3] = (uint32_t)lane0[3] + ((uint32_t)lane1[3] << 16);
      image[4] = (uint32_t)lane0[4] + ((uint32_t)lane1[4] << 16);
      image[5] = (uint32_t)lane0[5] + ((uint32_t)lane1[5] << 16);
      image[6] = (uint32_t)lane0[6] + ((uint32_t)lane1[6] << 16);
      image[7] = (uint32_t)lane0[7] + ((uint32_t)lane1[7] << 16);
    }
    for (; image < end; image++) *image = (uint32_t)*lane0++ + ((uint32_t)*lane1++ << 16);
    return image;
  }
  for (; image < end; image++) {
    const uint32_t lo = (uint32_t)(lane0 != NULL ? *lane0++ : x_zero);
    const uint32_t hi = (uint32_t)(lane1 != NULL ? *lane1++ : x_zero);
    *image = lo + (hi << 16);
  }
  return image;
}

/* The start of an input row from column `col` on, or NULL outside the image. */
static const int8_t *input_row(const args_t *a, const int8_t *x, int32_t row, int32_t col) {
  if (row < 0 || row >= (int32_t)a->in_h) return NULL;
  return x + ((size_t)row * a->in_w + (size_t)col) * a->in_c;
}

/* The image of the strip of lane rows that starts at `first`. */
static void pack(const args_t *a, const int8_t *x, uint32_t *image, uint32_t first, uint32_t half) {
  const int32_t rows = (int32_t)image_rows(a), cols = (int32_t)image_cols(a);
  const int32_t left = ternc_clamp(a->pad_left, 0, cols); /* columns before the input's first */
  const int32_t skip = a->pad_left < 0 ? -a->pad_left : 0; /* input columns before the image's */
  const int32_t inside = ternc_clamp((int32_t)a->in_w - skip, 0, cols - left);
  int32_t i;
  for (i = 0; i < rows; i++) {
    const int32_t row = (int32_t)(first * a->stride_h) + i - a->pad_top;
    if (left > 0) image = pack_run(image, NULL, NULL, a->x_zero, (uint32_t)left * a->in_c);
    if (inside > 0) {
      image = pack_run(image, input_row(a, x, row, skip),
                       input_row(a, x, row + (int32_t)(half * a->stride_h), skip), a->x_zero,
                       (uint32_t)inside * a->in_c);
    }
    if (cols - left > inside) {
      image = pack_run(image, NULL, NULL, a->x_zero, (uint32_t)(cols - left - inside) * a->in_c);
    }
  }
}

typedef struct {
  const int32_t *m, *c; /* of the block's outputs */
  uint32_t count;       /* outputs in the block */
  uint32_t shift, y_step;
  int32_t lo, hi;
} epilogue;

#if defined(__GNUC__) || defined(__clang__)
/* Keeps loads of the next iteration out of this one, where they would only be spilled. */
#define LOADS_STAY() __asm__ __volatile__("" ::: "memory")
#else
#define LOADS_STAY()
#endif

static inline int8_t finish(uint32_t lane, uint32_t m, uint32_t c, uint32_t shift, int32_t lo,
                            int32_t hi) {
  return (int8_t)ternc_lines_clamp(ternc_lines_value(lane, m, c, shift), lo, hi);
}

/* Output i of one or of two positions; lane 1 first, because it goes to lane 0's place where it has
 * no output. Two positions share each load of the constants. */
#define FINISH(i)                                              \
  {                                                            \
    const uint32_t m = (uint32_t)ms[i], c = (uint32_t)cs[i];   \
    const uint32_t sum = sums[i];                              \
    b0[i] = finish(sum & 0xffff0000u, m, c, shift, lo, hi);    \
    a0[i] = finish(sum << 16, m, c, shift, lo, hi);            \
  }
#define FINISH_TWO(i)                                                        \
  {                                                                          \
    const uint32_t m = (uint32_t)ms[i], c = (uint32_t)cs[i];                 \
    const uint32_t sum = sums[i], next = sums[TERNC_LINES_OUTPUTS + i];      \
    b0[i] = finish(sum & 0xffff0000u, m, c, shift, lo, hi);                  \
    a0[i] = finish(sum << 16, m, c, shift, lo, hi);                          \
    b1[i] = finish(next & 0xffff0000u, m, c, shift, lo, hi);                 \
    a1[i] = finish(next << 16, m, c, shift, lo, hi);                         \
  }

/* Requantizes the sums of `positions` positions. */
static void store(const uint32_t *sums, uint32_t positions, const epilogue *e, int8_t *y0,
                  int8_t *y1) {
  const uint32_t shift = e->shift;
  const int32_t lo = e->lo, hi = e->hi;
  for (; positions >= 2; positions -= 2) {
    const int32_t *ms = e->m, *cs = e->c, *const end = ms + e->count;
    const uint32_t *const following = sums + 2 * TERNC_LINES_OUTPUTS;
    int8_t *a0 = y0, *b0 = y1, *a1 = a0 + e->y_step, *b1 = b0 + e->y_step;
    y0 = a1 + e->y_step;
    y1 = b1 + e->y_step;
    for (; end - ms >= 8; ms += 8, cs += 8, sums += 8, a0 += 8, a1 += 8, b0 += 8, b1 += 8) {
      LOADS_STAY();
      FINISH_TWO(0)
      FINISH_TWO(1)
      FINISH_TWO(2)
      FINISH_TWO(3)
      FINISH_TWO(4)
      FINISH_TWO(5)
      FINISH_TWO(6)
      FINISH_TWO(7)
    }
    for (; ms < end; ms++, cs++, sums++, a0++, a1++, b0++, b1++) FINISH_TWO(0)
    sums = following;
  }
  if (positions != 0) {
    const int32_t *ms = e->m, *cs = e->c, *const end = ms + e->count;
    int8_t *a0 = y0, *b0 = y1;
    for (; ms < end; ms++, cs++, sums++, a0++, b0++) FINISH(0)
  }
}

/* The same for one position whose sums came in chunks: the lanes are added as integers first. */
static void store_chunks(const uint32_t *sums, uint32_t chunks, const epilogue *e, int8_t *y0,
                         int8_t *y1) {
  uint32_t i, k;
  for (i = 0; i < e->count; i++) {
    const int32_t m = e->m[i];
    const int32_t c = (int32_t)((uint32_t)e->c[i] + ((uint32_t)m >> 1));
    int32_t low = 0, high = 0;
    for (k = 0; k < chunks; k++) {
      const uint32_t sum = sums[k * TERNC_LINES_OUTPUTS + i];
      low += (int32_t)(sum & 0xffffu) - 0x8000;
      high += (int32_t)(sum >> 16) - 0x8000;
    }
    y1[i] = (int8_t)ternc_requant(high, m, c, e->shift, e->lo, e->hi);
    y0[i] = (int8_t)ternc_requant(low, m, c, e->shift, e->lo, e->hi);
  }
}

/* What a row of positions is computed with. */
typedef struct rows rows_t;
struct rows {
  /* `positions` of one block, `step` words apart. */
  void (*run)(const rows_t *rows, const uint32_t *x, uint32_t positions, uint32_t step, int8_t *y0,
              int8_t *y1);
  uint32_t outputs, chunks; /* of a block */
  const ternc_lines_block *blocks;
  const ternc_lines_bytes *bytes;
  epilogue e;
};

static void run_sums(const rows_t *rows, const uint32_t *x, uint32_t positions, uint32_t step,
                     int8_t *y0, int8_t *y1) {
  const epilogue *e = &rows->e;
  const uint32_t chunks = rows->chunks;
  uint32_t sums[TERNC_LINES_BATCH * TERNC_LINES_OUTPUTS];
  uint32_t k;
  while (positions != 0) {
    const uint32_t some = chunks > 1 ? 1 : positions < TERNC_LINES_BATCH ? positions : TERNC_LINES_BATCH;
    const uint32_t *const end = x + some * step;
    for (k = 0; k < chunks; k++) rows->blocks[k](x, end, step, sums + k * TERNC_LINES_OUTPUTS);
    if (chunks > 1) {
      store_chunks(sums, chunks, e, y0, y1);
    } else {
      store(sums, some, e, y0, y1);
    }
    x = end;
    y0 += some * e->y_step;
    y1 += some * e->y_step;
    positions -= some;
  }
}

static void run_bytes(const rows_t *rows, const uint32_t *x, uint32_t positions, uint32_t step,
                      int8_t *y0, int8_t *y1) {
  (*rows->bytes)(x, x + positions * step, step, y0, y1, rows->e.m, rows->e.c);
}

/* All rows of one block over the strip of lane rows `first` to `end`. */
static void run_block(const args_t *a, const rows_t *rows, const uint32_t *image, uint32_t first,
                      uint32_t end, int8_t *y) {
  const uint32_t half = (a->out_h + 1) / 2, step = a->stride_w * a->in_c;
  const uint32_t image_row = a->stride_h * image_cols(a) * a->in_c;
  const size_t y_row = (size_t)a->out_w * a->out_c;
  const uint32_t *from = image + TERNC_LINES_CENTRE;
  uint32_t row;
  if (a->out_w == 1 || image_row == a->out_w * step) { /* all rows are one long row */
    const uint32_t both = a->out_h - half < end ? a->out_h - half : end; /* lane 1's last row */
    const uint32_t apart = a->out_w == 1 ? image_row : step;
    int8_t *y0 = y + first * y_row;
    rows->run(rows, from, (both - first) * a->out_w, apart, y0, y0 + half * y_row);
    from += (both - first) * image_row;
    y0 += (both - first) * y_row;
    rows->run(rows, from, (end - both) * a->out_w, apart, y0, y0);
    return;
  }
  for (row = first; row < end; row++, from += image_row) {
    int8_t *y0 = y + row * y_row;
    rows->run(rows, from, a->out_w, step, y0, row + half < a->out_h ? y0 + half * y_row : y0);
  }
}

static void run(const ternc_op *op, rows_t *rows) {
  const args_t a = *(const args_t *)op->args;
  const int8_t *x = (const int8_t *)ternc_data(op, a.x);
  int8_t *y = (int8_t *)ternc_data(op, a.y);
  uint32_t *image = (uint32_t *)ternc_data(op, a.image);
  const int32_t *m = (const int32_t *)ternc_data(op, a.m), *c = (const int32_t *)ternc_data(op, a.c);
  const uint32_t half = (a.out_h + 1) / 2;
  const rows_t given = *rows;
  uint32_t n, first, o;
  rows->e.y_step = a.out_c;
  rows->e.shift = a.shift;
  rows->e.lo = a.lo;
  rows->e.hi = a.hi;
  for (n = 0; n < a.n; n++) {
    for (first = 0; first < half; first += a.strip) {
      const uint32_t end = half - first < a.strip ? half : first + a.strip;
      pack(&a, x, image, first, half);
      rows->blocks = given.blocks;
      rows->bytes = given.bytes;
      for (o = 0; o < a.out_c; o += rows->outputs) {
        rows->e.m = m + o;
        rows->e.c = c + o;
        rows->e.count = a.out_c - o < rows->outputs ? a.out_c - o : rows->outputs;
        run_block(&a, rows, image, first, end, y + o);
        rows->blocks += rows->blocks == NULL ? 0 : rows->chunks;
        rows->bytes += rows->bytes == NULL ? 0 : 1;
      }
    }
    x += (size_t)a.in_h * a.in_w * a.in_c;
    y += (size_t)a.out_h * a.out_w * a.out_c;
  }
}

void ternc_lines_run(const ternc_op *op, const ternc_lines_block *blocks) {
  rows_t rows;
  rows.run = run_sums;
  rows.outputs = TERNC_LINES_OUTPUTS;
  rows.chunks = ((const args_t *)op->args)->chunks;
  rows.blocks = blocks;
  rows.bytes = NULL;
  run(op, &rows);
}

void ternc_lines_run_bytes(const ternc_op *op, const ternc_lines_bytes *blocks, uint32_t outputs) {
  rows_t rows;
  rows.run = run_bytes;
  rows.outputs = outputs;
  rows.chunks = 1;
  rows.blocks = NULL;
  rows.bytes = blocks;
  run(op, &rows);
}

/* The inner loop of conv2d_i8_t2_lut: sums of looked-up lane words for a row of positions.
 *
 * A run is a range of pattern groups at one tap: where its first table is at the strip's first
 * column (ternc_lut_run), and how far from there the ninth column is (ternc_lut_gap). From one
 * group to the next it is `step` words, from one column to the next as many as a table has entries:
 * 40 (four weights to a code) or 13 (three). Where vectors add (on the host), an entry's columns lie
 * beside each other instead.
 *
 * Codes of four weights are bytes, 4*(1 + pattern) + (1 when negated), 0 where there is no weight.
 * Codes of three are 5 bits of a word, six to a word from the top: 1 when negated, 1 + pattern; no
 * weight is 10000, so that what is left of a word, shifted up, is 0 when its codes are used up. A
 * run begins a new word.
 *
 * `columns`, even and at most 16, are summed for each of `channels` output channels, whose codes
 * follow each other; `sums` has room for 16 of each. */
#ifndef TERNC_LUT_ROWS_H
#define TERNC_LUT_ROWS_H

#include "fast.h"

typedef struct {
  uint32_t first, gap;
} ternc_lut_place;

typedef struct {
  const ternc_lut_place *runs, *runs_end;
  const uint8_t *codes;
  uint32_t run_bytes; /* codes of one run */
  uint32_t step;
  uint32_t *sums;
  const uint32_t *table;
  uint32_t columns, channels;
  uint32_t beside; /* 1: 16 columns that lie beside each other */
} ternc_lut_rows;

#define TERNC_LUT_COLUMNS 16u
#define TERNC_LUT_CHANNELS 8u /* most in one go */

#if (defined(__GNUC__) || defined(__clang__)) && !defined(TERNC_NO_SIMD) && \
    (defined(__x86_64__) || defined(__aarch64__))
#define TERNC_LUT_VECTORS
#endif

/* Words from an entry of a table to the next; `step` is those of all columns' tables of a group. */
TERNC_INLINE uint32_t ternc_lut_apart(size_t step, uint32_t entries) {
#ifdef TERNC_LUT_VECTORS
  return (uint32_t)step / entries;
#else
  (void)step;
  (void)entries;
  return 1;
#endif
}

/* Words from a column's tables to the next column's. */
TERNC_INLINE uint32_t ternc_lut_next(uint32_t entries) {
#ifdef TERNC_LUT_VECTORS
  (void)entries;
  return 1;
#else
  return entries;
#endif
}

#if defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && !defined(__riscv_32e) && \
    (defined(__GNUC__) || defined(__clang__))

/* Runs are addresses here, gaps bytes: of 16 columns beside each other the ninth's, from which all
 * are within reach; else the first's. */
static inline uint32_t ternc_lut_run(const uint32_t *table, uint32_t offset, uint32_t beside,
                                     uint32_t entries) {
  return (uint32_t)(uintptr_t)(table + offset) + beside * 8 * 4 * entries;
}

static inline uint32_t ternc_lut_gap(uint32_t words) { return 4 * words; }

/* All sums in registers: 2 instructions per column and code, where C would spill. Columns from the
 * last to the first, so that fewer of them start further down: 16 bytes per two columns, without
 * compressed instructions. s0, which may be the compiler's frame pointer, is put back. */
#define LUT_TWO(op, a, b, j, stride, flag, base)                                          \
  "lw t1, (" #j ")*" #stride "-4-" #flag "(" base ")\n\t" #op " " #a "," #a ",t1\n\t"     \
  "lw t1, (" #j "-1)*" #stride "-4-" #flag "(" base ")\n\t" #op " " #b "," #b ",t1\n\t"
#define LUT_EIGHT(op, a, b, c, d, e, f, g, h, j, stride, flag, base)                            \
  LUT_TWO(op, a, b, j + 7, stride, flag, base) LUT_TWO(op, c, d, j + 5, stride, flag, base)     \
  LUT_TWO(op, e, f, j + 3, stride, flag, base) LUT_TWO(op, g, h, j + 1, stride, flag, base)
#define LUT_HALVES(op, stride, flag, base, low)                                        \
  LUT_EIGHT(op, a7, a6, t6, t5, t4, t3, s11, s10, 0, stride, flag, base)               \
  LUT_EIGHT(op, s9, s8, s7, s6, s5, s4, s3, s2, low, stride, flag, "t0")

/* From a code to its entry at t0, on to 3 when it is negated, and to the next code (two ways). */
#define LUT_BYTE_CODE                                                                     \
  "2: lbu t0,0(a3)\n\taddi a3,a3,1\n\tbeqz t0,4f\n\tandi t1,t0,1\n\tadd t0,t0,a5\n\t"      \
  "bnez t1,3f\n\t"
#define LUT_BYTE_NEXT "add a5,a5,a4\n\tbne a3,ra,2b\n\tbne a1,a2,1b\n\t"
#define LUT_WORD_CODE                                                                     \
  "8: lw t2,0(a3)\n\taddi a3,a3,4\n\t"                                                     \
  "2: srli t0,t2,25\n\tandi t0,t0,0x3c\n\tbeqz t0,4f\n\tadd t0,t0,a5\n\tbltz t2,3f\n\t"
#define LUT_WORD_NEXT                                                                     \
  "slli t2,t2,5\n\tadd a5,a5,a4\n\tbnez t2,2b\n\tbne a3,ra,8b\n\tbne a1,a2,1b\n\t"

/* 16 columns, s0 the bytes of a run's codes. */
#define LUT_FULL(op, stride, flag, label, behind) LUT_HALVES(op, stride, flag, "t0", -8)
#define LUT_FULL_BEGIN "lw s0,12(a0)\n\t"
#define LUT_FULL_RUN "add ra,a3,s0\n\tlw a5,0(a1)\n\taddi a1,a1,8\n\t"
/* Those from which a jump to a0, or `behind` bytes after it, starts; s0 the run's gap. From the
 * additions to the subtractions it is 32 instructions, those of NEXT and three. */
#define LUT_SOME(op, stride, flag, label, behind)                       \
  "add s1,t0,s0\n\tjalr x0," #behind "(a0)\n\t" #label ": "             \
  LUT_HALVES(op, stride, flag, "s1", 0)
#define LUT_LONG ".option norvc\n\t" /* jumps count on it */
#define LUT_SOME_BEGIN                                                                      \
  "lw t1,28(a0)\n\tli t2,16\n\tsub t2,t2,t1\n\tslli t2,t2,3\n\tla a0,6f\n\tadd a0,a0,t2\n\t"
#define LUT_SOME_RUN                                                                         \
  "lw ra,4(sp)\n\tlw a5,0(a1)\n\tlw s0,4(a1)\n\taddi a1,a1,8\n\tadd ra,ra,a3\n\t"

/* `flag`: what the sign adds to a negated code's address; `behind`: as above. */
#define LUT_ROWS(name, stride, flag, behind, CODE, NEXT, option, columns, begin, run)      \
  static TERNC_NOINLINE void name(const ternc_lut_rows *rows) {                            \
    register const ternc_lut_rows *a0 __asm__("a0") = rows;                                \
    __asm__ volatile(                                                                      \
        ".option push\n\t" option "addi sp,sp,-32\n\tsw s0,16(sp)\n\t"              \
        "lw a1,0(a0)\n\tlw a2,4(a0)\n\tlw a3,8(a0)\n\tlw a4,16(a0)\n\tlw t2,12(a0)\n\t"    \
        "lw t0,20(a0)\n\tsw t0,0(sp)\n\tsw t2,4(sp)\n\tlw t0,32(a0)\n\tsw a1,8(sp)\n\t"    \
        "sw t0,12(sp)\n\tslli a4,a4,2\n\t" begin                                           \
        "0: li s2,0x80008000\n\tmv s3,s2\n\tmv s4,s2\n\tmv s5,s2\n\tmv s6,s2\n\tmv s7,s2\n\t"  \
        "mv s8,s2\n\tmv s9,s2\n\tmv s10,s2\n\tmv s11,s2\n\tmv t3,s2\n\tmv t4,s2\n\t"       \
        "mv t5,s2\n\tmv t6,s2\n\tmv a6,s2\n\tmv a7,s2\n\t"                                 \
        "1: " run CODE columns(add, stride, 0, 6, 0) "4: " NEXT "j 5f\n\t"                 \
        "3: " columns(sub, stride, flag, 7, behind) NEXT                                   \
        "5: lw t0,0(sp)\n\tlw t1,12(sp)\n\tlw a1,8(sp)\n\t"                             \
        "sw s2,0(t0)\n\tsw s3,4(t0)\n\tsw s4,8(t0)\n\tsw s5,12(t0)\n\tsw s6,16(t0)\n\t"     \
        "sw s7,20(t0)\n\tsw s8,24(t0)\n\tsw s9,28(t0)\n\tsw s10,32(t0)\n\tsw s11,36(t0)\n\t" \
        "sw t3,40(t0)\n\tsw t4,44(t0)\n\tsw t5,48(t0)\n\tsw t6,52(t0)\n\tsw a6,56(t0)\n\t"  \
        "sw a7,60(t0)\n\taddi t0,t0,64\n\taddi t1,t1,-1\n\tsw t0,0(sp)\n\tsw t1,12(sp)\n\t" \
        "bnez t1,0b\n\tlw s0,16(sp)\n\taddi sp,sp,32\n\t.option pop\n\t"                 \
        : "+r"(a0)                                                                         \
        :                                                                                  \
        : "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", \
          "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "ra", "memory"); \
  }

LUT_ROWS(ternc_lut_rows_4, 160, 1, 152, LUT_BYTE_CODE, LUT_BYTE_NEXT, LUT_LONG, LUT_SOME, LUT_SOME_BEGIN,
         LUT_SOME_RUN)
LUT_ROWS(ternc_lut_rows_4_16, 160, 1, 0, LUT_BYTE_CODE, LUT_BYTE_NEXT, "", LUT_FULL, LUT_FULL_BEGIN,
         LUT_FULL_RUN)
LUT_ROWS(ternc_lut_rows_3, 52, 0, 160, LUT_WORD_CODE, LUT_WORD_NEXT, LUT_LONG, LUT_SOME, LUT_SOME_BEGIN,
         LUT_SOME_RUN)
LUT_ROWS(ternc_lut_rows_3_16, 52, 0, 0, LUT_WORD_CODE, LUT_WORD_NEXT, "", LUT_FULL, LUT_FULL_BEGIN,
         LUT_FULL_RUN)

static inline void ternc_lut_sum(const ternc_lut_rows *rows, uint32_t group) {
  if (group == 4) {
    if (rows->beside != 0) ternc_lut_rows_4_16(rows);
    else ternc_lut_rows_4(rows);
  } else {
    if (rows->beside != 0) ternc_lut_rows_3_16(rows);
    else ternc_lut_rows_3(rows);
  }
}

#else

static inline uint32_t ternc_lut_run(const uint32_t *table, uint32_t offset, uint32_t beside,
                                     uint32_t entries) {
  (void)table;
  (void)beside;
  (void)entries;
  return offset;
}

static inline uint32_t ternc_lut_gap(uint32_t words) { return words; }

#ifdef TERNC_LUT_VECTORS

/* Anywhere, of any type. */
typedef uint32_t ternc_lut_four __attribute__((vector_size(16), aligned(4), may_alias));

/* A channel's sums, without the `negated` that -e has more than ~e, and without where they begin. */
typedef struct {
  ternc_lut_four sums[4];
  uint32_t negated;
} ternc_lut_lanes;

TERNC_INLINE void ternc_lut_begin(ternc_lut_lanes *to, uint32_t *sums, uint32_t columns) {
  const ternc_lut_four zero = {0, 0, 0, 0};
  (void)sums;
  (void)columns;
  to->sums[0] = to->sums[1] = to->sums[2] = to->sums[3] = zero;
  to->negated = 0;
}

/* Adds an entry, `here` at the first column, or subtracts it. Beyond the columns it may add up what
 * means nothing: what is behind the tables in the scratch is larger than a vector. */
TERNC_INLINE void ternc_lut_group(const ternc_lut_rows *rows, ternc_lut_lanes *to, uint32_t here,
                                  uint32_t gap, uint32_t stride, uint32_t negated) {
  const uint32_t bits = 0u - negated;
  const ternc_lut_four flip = {bits, bits, bits, bits};
  const ternc_lut_four *low = (const ternc_lut_four *)(const void *)(rows->table + here);
  (void)stride;
  to->negated += negated;
  to->sums[0] += low[0] ^ flip;
  to->sums[1] += low[1] ^ flip;
  if (rows->columns > 8) {
    const uint32_t there = here + gap; /* which may be below */
    const ternc_lut_four *high = (const ternc_lut_four *)(const void *)(rows->table + there);
    to->sums[2] += high[0] ^ flip;
    to->sums[3] += high[1] ^ flip;
  }
}

TERNC_INLINE void ternc_lut_end(const ternc_lut_lanes *from, uint32_t *sums) {
  const uint32_t more = TERNC_LANES + from->negated;
  const ternc_lut_four all = {more, more, more, more};
  ternc_lut_four *to = (ternc_lut_four *)(void *)sums;
  int k;
  for (k = 0; k < 4; k++) to[k] = from->sums[k] + all;
}

#else

typedef struct {
  uint32_t *sums;
} ternc_lut_lanes;

TERNC_INLINE void ternc_lut_begin(ternc_lut_lanes *to, uint32_t *sums, uint32_t columns) {
  uint32_t j;
  for (j = 0; j < columns; j++) sums[j] = TERNC_LANES;
  to->sums = sums;
}

/* Adds entries `stride` words apart to sums, or subtracts them. */
static inline void ternc_lut_add(uint32_t *sums, uint32_t count, const uint32_t *entry,
                                 uint32_t stride, uint32_t negated) {
  const uint32_t *const end = sums + count;
  if (negated) {
    for (; sums != end; sums++, entry += stride) *sums -= *entry;
  } else {
    for (; sums != end; sums++, entry += stride) *sums += *entry;
  }
}

/* The entry of one group, `here` at the first column. */
TERNC_INLINE void ternc_lut_group(const ternc_lut_rows *rows, ternc_lut_lanes *to, uint32_t here,
                                  uint32_t gap, uint32_t stride, uint32_t negated) {
  const uint32_t low = rows->columns < 8 ? rows->columns : 8;
  ternc_lut_add(to->sums, low, rows->table + here, stride, negated);
  if (rows->columns > 8) {
    const uint32_t there = here + gap; /* which may be below */
    ternc_lut_add(to->sums + 8, rows->columns - 8, rows->table + there, stride, negated);
  }
}

TERNC_INLINE void ternc_lut_end(const ternc_lut_lanes *from, uint32_t *sums) {
  (void)from;
  (void)sums;
}

#endif

static inline void ternc_lut_sum(const ternc_lut_rows *rows, uint32_t group) {
  const uint32_t entries = group == 4 ? 40 : 13, apart = ternc_lut_apart(rows->step, entries);
  const uint8_t *code = rows->codes;
  uint32_t *sums = rows->sums;
  uint32_t o, i;
  for (o = 0; o < rows->channels; o++, sums += TERNC_LUT_COLUMNS) {
    const ternc_lut_place *run;
    ternc_lut_lanes lanes;
    ternc_lut_begin(&lanes, sums, rows->columns);
    for (run = rows->runs; run != rows->runs_end; run++, code += rows->run_bytes) {
      uint32_t at = run->first - apart;
      for (i = 0; i < rows->run_bytes && group == 4; i++, at += rows->step) {
        const uint32_t pattern = code[i] >> 2, here = at + pattern * apart;
        if (pattern != 0) ternc_lut_group(rows, &lanes, here, run->gap, 40, code[i] & 1u);
      }
      for (i = 0; i < rows->run_bytes / 4 && group == 3; i++) {
        uint32_t word = ((const uint32_t *)(const void *)code)[i];
        for (; word != 0; word <<= 5, at += rows->step) {
          const uint32_t pattern = word >> 27 & 15, here = at + pattern * apart;
          if (pattern != 0) ternc_lut_group(rows, &lanes, here, run->gap, 13, word >> 31);
        }
      }
    }
    ternc_lut_end(&lanes, sums);
  }
}

#endif
#endif

/* The inner part of conv2d_i8_t2_lists: for each of up to 8 channels, sums of lane words at the taps
 * of a ternary window, for up to 16 neighbouring positions, and their requantization to bytes.
 *
 * Neighbouring positions of a channel are TERNC_TAP_SLOTS words apart, so that 8 channels can share
 * a plane. Column j of channel k goes to bytes[TERNC_TAP_SLOTS*j + k], lane 1 TERNC_TAP_LANE behind
 * it, the next strip two lanes further: outputs less `lo`, 0 to `range`. */
#ifndef TERNC_TAP_STRIPS_H
#define TERNC_TAP_STRIPS_H

#include "fast.h"

#define TERNC_TAP_SLOTS 8u
#define TERNC_TAP_COLUMNS 16u
#define TERNC_TAP_LANE (TERNC_TAP_SLOTS * TERNC_TAP_COLUMNS)

/* What an entry of a list does. Words are added or taken off; `PLUS_MINUS` adds them and takes off
 * their neighbours, which are one position further. `FIRST` ones make sums of the bias and the
 * words; behind END they are complete. */
enum {
  TERNC_TAP_PLUS,
  TERNC_TAP_MINUS,
  TERNC_TAP_PLUS_PLUS,
  TERNC_TAP_PLUS_MINUS,
  TERNC_TAP_MINUS_PLUS,
  TERNC_TAP_MINUS_MINUS,
  TERNC_TAP_FIRST_PLUS,
  TERNC_TAP_FIRST_MINUS,
  TERNC_TAP_END,
  TERNC_TAP_KINDS
};

/* `offset` in bytes; `target` is the kind's entry of ternc_tap_targets. */
typedef struct {
  uint32_t offset, target;
} ternc_tap;

/* What goes before the entries of a channel's list, the last of which is END; the next channel's
 * follow. m and c are those for ternc_mulhu of a biased lane, c also takes off `lo`. */
typedef struct {
  uint32_t m, c, bias;
} ternc_tap_channel;

typedef struct {
  const uint32_t *lists, *end;
  const uint32_t *base; /* of the first strip's words */
  uint32_t base_step;   /* bytes from one strip's to the next's */
  uint8_t *bytes;
  uint32_t strips, shift, range;
  uint32_t *targets;    /* not NULL: only asks for them */
  uint32_t columns;     /* as the targets have it */
} ternc_tap_strips;

#if defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && !defined(__riscv_32e) && \
    (defined(__GNUC__) || defined(__clang__))

/* Bytes of what a jump into the code may skip, where the assembler makes every instruction as short
 * as it can: additions to a register are compressed ones. */
#ifdef __riscv_compressed
#define TAP_ADD_BYTES 2
#define TAP_SHORT_NOP "c.nop\n\t"
#else
#define TAP_ADD_BYTES 4
#define TAP_SHORT_NOP "nop\n\t"
#endif
#define TAP_NOP_add TAP_SHORT_NOP
#define TAP_NOP_sub ".4byte 0x13\n\t" /* nop */

/* A list is threaded code: each entry ends with a jump to the next. */
#define TAP_NEXT "lw t0,0(a1)\n\tlw t1,4(a1)\n\taddi a1,a1,8\n\tadd t0,t0,a5\n\tjr t1\n\t"

/* Columns from the last to the first, by pairs that end with columns 2 and 1: strips of 15, 13, 11
 * ... columns enter at a pair, others one column early, whose sum nobody asks for. */
#define TAP_TWO(op, a, b, j, from_a, from_b)                                              \
  "lw t1," #j "*32(t0)\n\tlw t2," #j "*32-32(t0)\n\t" #op " " #a "," from_a ",t1\n\t" #op \
  " " #b "," from_b ",t2\n\t"
#define TAP_SUM(op, a, b, j) TAP_TWO(op, a, b, j, #a, #b)
#define TAP_SET(op, a, b, j) TAP_TWO(op, a, b, j, "a2", "a2")
#define TAP_ONE(TWO, op, nop, from)                                                 \
  "lw t1,512(t0)\n\tlw t2,480(t0)\n\t" nop #op " a7," from(a7) ",t2\n\t"            \
  TWO(op, a6, t6, 14) TWO(op, t5, t4, 12) TWO(op, t3, s11, 10) TWO(op, s10, s9, 8)  \
  TWO(op, s8, s7, 6) TWO(op, s6, s5, 4) TWO(op, s4, s3, 2)                          \
  "lw t2,0(t0)\n\tlw t0,0(a1)\n\tlw t1,4(a1)\n\t" #op " s2," from(s2) ",t2\n\t"     \
  "addi a1,a1,8\n\tadd t0,t0,a5\n\tjr t1\n\t"
#define TAP_SAME(a) #a
#define TAP_BIAS(a) "a2"

/* The same for a word and its neighbour, which the column before has loaded: all enter one column
 * early. */
#define TAP_BOTH(op, next, a, j, t, t_next) \
  "lw " #t "," #j "*32(t0)\n\t" #next " " #a "," #a "," #t_next "\n\t" #op " " #a "," #a "," #t "\n\t"
#define TAP_PAIR(op, next)                                                             \
  "lw t1,512(t0)\n\t" TAP_NOP_##op TAP_NOP_##next                                      \
  TAP_BOTH(op, next, a7, 15, t2, t1) TAP_BOTH(op, next, a6, 14, t1, t2)                \
  TAP_BOTH(op, next, t6, 13, t2, t1) TAP_BOTH(op, next, t5, 12, t1, t2)                \
  TAP_BOTH(op, next, t4, 11, t2, t1) TAP_BOTH(op, next, t3, 10, t1, t2)                \
  TAP_BOTH(op, next, s11, 9, t2, t1) TAP_BOTH(op, next, s10, 8, t1, t2)                \
  TAP_BOTH(op, next, s9, 7, t2, t1) TAP_BOTH(op, next, s8, 6, t1, t2)                  \
  TAP_BOTH(op, next, s7, 5, t2, t1) TAP_BOTH(op, next, s6, 4, t1, t2)                  \
  TAP_BOTH(op, next, s5, 3, t2, t1) TAP_BOTH(op, next, s4, 2, t1, t2)                  \
  TAP_BOTH(op, next, s3, 1, t2, t1) TAP_BOTH(op, next, s2, 0, t1, t2) TAP_NEXT

/* A lane of a column; a byte that is out of range is mended behind the code. Lane 1 comes first. */
#define TAP_BYTE(get, a, with, id, at)                                                     \
  get " t1," #a "," with "\n\tmulhu t1,t1,a0\n\tadd t1,t1,s0\n\tsra t1,t1,a3\n\t"          \
  "bltu s1,t1,.Ltap_mend_" #id "_%=\n\t.Ltap_store_" #id "_%=: sb t1," at "(ra)\n\t"
#define TAP_BYTES(a, j) \
  TAP_BYTE("and", a, "a4", 1##j, #j "*8+128") TAP_BYTE("slli", a, "16", 0##j, #j "*8")
#define TAP_MEND(id) ".Ltap_mend_" #id "_%=: jal t0,9f\n\tj .Ltap_store_" #id "_%=\n\t"
#define TAP_MENDS(j) TAP_MEND(1##j) TAP_MEND(0##j)
#define TAP_TARGET(label, at) "la t1," #label "b\n\tsw t1," #at "*4(t0)\n\t"

/* The channel's m in a0, c in s0, which is kept for the caller's frame pointer, bias in a2. */
static TERNC_NOINLINE void ternc_tap_run(const ternc_tap_strips *strips) {
  register const ternc_tap_strips *a0 __asm__("a0") = strips;
  __asm__ volatile(
      "lw t0,32(a0)\n\tbnez t0,8f\n\taddi sp,sp,-32\n\t"
      "lw a1,0(a0)\n\tlw t1,4(a0)\n\tlw a5,8(a0)\n\tlw t2,12(a0)\n\tlw ra,16(a0)\n\t"
      "sw a1,0(sp)\n\tsw t1,4(sp)\n\tsw a5,8(sp)\n\tsw t2,12(sp)\n\tsw ra,16(sp)\n\t"
      "lw t0,20(a0)\n\tlw a3,24(a0)\n\tlw s1,28(a0)\n\tsw t0,20(sp)\n\tsw s0,24(sp)\n\t"
      "lui a4,0xffff0\n\t"
      "0: lw a0,0(a1)\n\tlw s0,4(a1)\n\tlw a2,8(a1)\n\tlw t0,12(a1)\n\tlw t1,16(a1)\n\t"
      "addi a1,a1,20\n\tadd t0,t0,a5\n\tjr t1\n\t"
      "1: " TAP_ONE(TAP_SUM, add, TAP_NOP_add, TAP_SAME)
      "2: " TAP_ONE(TAP_SUM, sub, TAP_NOP_sub, TAP_SAME)
      "3: " TAP_PAIR(add, add)
      "4: " TAP_PAIR(add, sub)
      "5: " TAP_PAIR(sub, add)
      "6: " TAP_PAIR(sub, sub)
      "20: " TAP_ONE(TAP_SET, add, TAP_NOP_sub, TAP_BIAS)
      "21: " TAP_ONE(TAP_SET, sub, TAP_NOP_sub, TAP_BIAS)
      TAP_BYTES(a7, 15) TAP_BYTES(a6, 14) TAP_BYTES(t6, 13) TAP_BYTES(t5, 12)
      TAP_BYTES(t4, 11) TAP_BYTES(t3, 10) TAP_BYTES(s11, 9) TAP_BYTES(s10, 8) TAP_BYTES(s9, 7)
      TAP_BYTES(s8, 6) TAP_BYTES(s7, 5) TAP_BYTES(s6, 4) TAP_BYTES(s5, 3) TAP_BYTES(s4, 2)
      TAP_BYTES(s3, 1) TAP_BYTES(s2, 0)
      "7: lw t2,4(sp)\n\taddi ra,ra,1\n\tbne a1,t2,0b\n\t"
      "lw a5,8(sp)\n\tlw t1,12(sp)\n\tlw ra,16(sp)\n\tlw t0,20(sp)\n\tadd a5,a5,t1\n\t"
      "addi ra,ra,256\n\taddi t0,t0,-1\n\tsw a5,8(sp)\n\tsw ra,16(sp)\n\tsw t0,20(sp)\n\t"
      "lw a1,0(sp)\n\tbnez t0,0b\n\tlw s0,24(sp)\n\taddi sp,sp,32\n\tj 10f\n\t"
      TAP_MENDS(15) TAP_MENDS(14) TAP_MENDS(13) TAP_MENDS(12) TAP_MENDS(11) TAP_MENDS(10)
      TAP_MENDS(9) TAP_MENDS(8) TAP_MENDS(7) TAP_MENDS(6) TAP_MENDS(5) TAP_MENDS(4) TAP_MENDS(3)
      TAP_MENDS(2) TAP_MENDS(1) TAP_MENDS(0)
      "9: srai t1,t1,31\n\tnot t1,t1\n\tand t1,t1,s1\n\tjr t0\n\t"
      "8: " TAP_TARGET(1, 0) TAP_TARGET(2, 1) TAP_TARGET(3, 2) TAP_TARGET(4, 3) TAP_TARGET(5, 4)
      TAP_TARGET(6, 5) TAP_TARGET(20, 6) TAP_TARGET(21, 7) TAP_TARGET(7, 8)
      "10:\n\t"
      : "+r"(a0)
      :
      : "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1",
        "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "ra", "memory");
}

/* What lists for strips of `columns` have for each kind, where the last column of `lone` strips
 * needs no lane 1. */
static void ternc_tap_targets(uint32_t *targets, uint32_t columns, int lone) {
  const uint32_t ones = (17 - columns) / 2, pairs = 16 - columns, byte = 20 + TAP_ADD_BYTES;
  ternc_tap_strips strips;
  uint32_t kind;
  strips.targets = targets;
  ternc_tap_run(&strips);
  for (kind = TERNC_TAP_PLUS; kind < TERNC_TAP_END; kind++) targets[kind] += ones * 16;
  targets[TERNC_TAP_PLUS] -= ones * 2 * (4 - TAP_ADD_BYTES);
  for (kind = TERNC_TAP_PLUS_PLUS; kind <= TERNC_TAP_MINUS_MINUS; kind++) {
    targets[kind] += pairs * (8 + TAP_ADD_BYTES) - ones * 16;
  }
  targets[TERNC_TAP_PLUS_PLUS] -= pairs * (4 - TAP_ADD_BYTES);
  targets[TERNC_TAP_MINUS_MINUS] += pairs * (4 - TAP_ADD_BYTES);
  targets[TERNC_TAP_END] -= 2 * byte * columns - (lone ? byte : 0);
}

#else

static uint8_t ternc_tap_byte(const ternc_tap_strips *strips, const ternc_tap_channel *channel,
                              uint32_t top) {
  const int32_t y = (int32_t)(ternc_mulhu(top, channel->m) + channel->c) >> strips->shift;
  return (uint8_t)ternc_clamp_rare(y, 0, (int32_t)strips->range);
}

/* The sums of four neighbouring positions. */
static TERNC_NOINLINE void ternc_tap_four(const ternc_tap *tap, uint32_t bias,
                                          const uint32_t *words, uint32_t *sums) {
  enum { NEXT = TERNC_TAP_SLOTS };
  uint32_t a = bias, b = bias, c = bias, d = bias;
#define FOUR(op)     \
  a op w[0];         \
  b op w[NEXT];      \
  c op w[2 * NEXT];  \
  d op w[3 * NEXT];
  for (; tap->target != TERNC_TAP_END; tap++) {
    const uint32_t *w = words + tap->offset / 4;
    const uint32_t kind = tap->target;
    if (kind == TERNC_TAP_PLUS || kind == TERNC_TAP_FIRST_PLUS ||
        kind == TERNC_TAP_PLUS_PLUS || kind == TERNC_TAP_PLUS_MINUS) {
      FOUR(+=)
    } else {
      FOUR(-=)
    }
    if (kind < TERNC_TAP_PLUS_PLUS || kind > TERNC_TAP_MINUS_MINUS) continue;
    w += NEXT;
    if (kind == TERNC_TAP_PLUS_PLUS || kind == TERNC_TAP_MINUS_PLUS) {
      FOUR(+=)
    } else {
      FOUR(-=)
    }
  }
#undef FOUR
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* Reads up to three positions behind the columns. */
static void ternc_tap_run(const ternc_tap_strips *strips) {
  const uint32_t *base = strips->base;
  uint8_t *bytes = strips->bytes;
  uint32_t s, i, j, sums[4];
  for (s = 0; s < strips->strips; s++, base += strips->base_step / 4, bytes += 2 * TERNC_TAP_LANE) {
    const uint32_t *list = strips->lists;
    uint8_t *to = bytes;
    for (; list != strips->end; to++) {
      const ternc_tap_channel *const channel = (const ternc_tap_channel *)(const void *)list;
      const ternc_tap *const taps = (const ternc_tap *)(const void *)(channel + 1), *tap = taps;
      for (i = 0; i < strips->columns; i += 4) {
        uint8_t *const four = to + TERNC_TAP_SLOTS * i;
        ternc_tap_four(taps, channel->bias, base + i * TERNC_TAP_SLOTS, sums);
        for (j = 0; j < 4 && i + j < strips->columns; j++) {
          uint8_t *const byte = four + TERNC_TAP_SLOTS * j;
          byte[0] = ternc_tap_byte(strips, channel, sums[j] << 16);
          byte[TERNC_TAP_LANE] = ternc_tap_byte(strips, channel, sums[j] & 0xffff0000u);
        }
      }
      while (tap->target != TERNC_TAP_END) tap++;
      list = (const uint32_t *)(const void *)(tap + 1);
    }
  }
}

static void ternc_tap_targets(uint32_t *targets, uint32_t columns, int lone) {
  uint32_t kind;
  (void)columns;
  (void)lone;
  for (kind = 0; kind < TERNC_TAP_KINDS; kind++) targets[kind] = kind;
}

#endif
#endif

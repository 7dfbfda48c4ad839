/* The inner loop of conv2d_i8_t2_taps: sums of lane words at the taps of a ternary window, for up
 * to 16 neighbouring positions (an even number), on `lines` lines. `taps` are byte offsets from
 * the line's first word, those with weight -1 first. `sums` has room for 16 of each line. */
#ifndef TERNC_TAP_ROWS_H
#define TERNC_TAP_ROWS_H

#include "fast.h"

#define TERNC_TAP_COLUMNS 16u
#define TERNC_TAP_LINES 8u /* most in one go */

typedef struct {
  const uint32_t *taps, *minus_end, *end;
  const uint32_t *base;
  uint32_t line_bytes; /* from one line's first word to the next's */
  uint32_t *sums;
  uint32_t columns, lines;
} ternc_tap_rows;

#if defined(__riscv) && __riscv_xlen == 32 && !defined(__riscv_32e) && \
    (defined(__GNUC__) || defined(__clang__))

/* As in lut_rows.h: all sums in registers, columns from the last to the first, 16 bytes of code
 * per two of them. */
#define TAP_TWO(op, a, b, j)                                                          \
  "lw t1," #j "*4(t0)\n\tlw t2," #j "*4-4(t0)\n\t" #op " " #a "," #a ",t1\n\t" #op " " #b "," #b \
  ",t2\n\t"
#define TAP_ALL(op)                                                                       \
  TAP_TWO(op, a7, a6, 15) TAP_TWO(op, t6, t5, 13) TAP_TWO(op, t4, t3, 11)                 \
  TAP_TWO(op, s11, s10, 9) TAP_TWO(op, s9, s8, 7) TAP_TWO(op, s7, s6, 5)                  \
  TAP_TWO(op, s5, s4, 3) TAP_TWO(op, s3, s2, 1)

static TERNC_NOINLINE void ternc_tap_sum(const ternc_tap_rows *rows) {
  register const ternc_tap_rows *a0 __asm__("a0") = rows;
  __asm__ volatile(
      ".option push\n\t.option norvc\n\t"
      "lw t0,0(a0)\n\tlw a2,4(a0)\n\tlw a3,8(a0)\n\tlw a5,12(a0)\n\tlw a4,16(a0)\n\t"
      "lw t1,20(a0)\n\tlw t2,24(a0)\n\tlw ra,28(a0)\n\taddi sp,sp,-16\n\tsw t0,0(sp)\n\t"
      "sw t1,4(sp)\n\tli t1,16\n\tsub t1,t1,t2\n\tslli t1,t1,3\n\tla a0,6f\n\tla s1,7f\n\t"
      "add a0,a0,t1\n\tadd s1,s1,t1\n\t"
      "0: li s2,0x80008000\n\tmv s3,s2\n\tmv s4,s2\n\tmv s5,s2\n\tmv s6,s2\n\tmv s7,s2\n\t"
      "mv s8,s2\n\tmv s9,s2\n\tmv s10,s2\n\tmv s11,s2\n\tmv t3,s2\n\tmv t4,s2\n\tmv t5,s2\n\t"
      "mv t6,s2\n\tmv a6,s2\n\tmv a7,s2\n\tlw a1,0(sp)\n\tbeq a1,a2,8f\n\t"
      "1: lw t0,0(a1)\n\taddi a1,a1,4\n\tadd t0,t0,a5\n\tjr s1\n\t"
      "7: " TAP_ALL(sub) "bne a1,a2,1b\n\t"
      "8: beq a1,a3,5f\n\t"
      "2: lw t0,0(a1)\n\taddi a1,a1,4\n\tadd t0,t0,a5\n\tjr a0\n\t"
      "6: " TAP_ALL(add) "bne a1,a3,2b\n\t"
      "5: lw t0,4(sp)\n\tadd a5,a5,a4\n\taddi ra,ra,-1\n\t"
      "sw s2,0(t0)\n\tsw s3,4(t0)\n\tsw s4,8(t0)\n\tsw s5,12(t0)\n\tsw s6,16(t0)\n\t"
      "sw s7,20(t0)\n\tsw s8,24(t0)\n\tsw s9,28(t0)\n\tsw s10,32(t0)\n\tsw s11,36(t0)\n\t"
      "sw t3,40(t0)\n\tsw t4,44(t0)\n\tsw t5,48(t0)\n\tsw t6,52(t0)\n\tsw a6,56(t0)\n\t"
      "sw a7,60(t0)\n\taddi t0,t0,64\n\tsw t0,4(sp)\n\tbnez ra,0b\n\taddi sp,sp,16\n\t"
      ".option pop\n\t"
      : "+r"(a0)
      :
      : "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1",
        "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "ra", "memory");
}

#else

static void ternc_tap_sum(const ternc_tap_rows *rows) {
  const uint32_t *base = rows->base, *tap;
  uint32_t *sums = rows->sums;
  uint32_t line, j;
  for (line = 0; line < rows->lines; line++, sums += TERNC_TAP_COLUMNS) {
    for (j = 0; j < rows->columns; j++) sums[j] = TERNC_LANES;
    for (tap = rows->taps; tap != rows->minus_end; tap++) {
      for (j = 0; j < rows->columns; j++) sums[j] -= base[*tap / 4 + j];
    }
    for (; tap != rows->end; tap++) {
      for (j = 0; j < rows->columns; j++) sums[j] += base[*tap / 4 + j];
    }
    base += rows->line_bytes / 4;
  }
}

#endif
#endif

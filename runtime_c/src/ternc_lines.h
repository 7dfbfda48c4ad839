/* Convolution by straight-line code that the compiler generated for one layer (-O speed).
 *
 * Such a layer is an instruction of its own model: its number is TERNC_NATIVE or above, its
 * revision a hash of the generated code, its kernel defined by the generated header from the
 * functions here. Operands are ternc_conv2d_i8_lines_args. */
#ifndef TERNC_LINES_H
#define TERNC_LINES_H

#include "ternc_kernel.h"

#define TERNC_NATIVE 0x8000u     /* instruction numbers from here on belong to one model */
#define TERNC_LINES_OUTPUTS 16u  /* output channels of one block */
#define TERNC_LINES_BATCH 16u   /* positions between two requantizations */
#define TERNC_LINES_CENTRE 512u  /* words by which x points into its window: short offsets */
#define TERNC_LINES_CHUNKS 8u    /* at most: a sum that could leave 16 bits is split */

/* Keeps the accumulators in registers: the statements are already in the best order. */
#if defined(__GNUC__) && !defined(__clang__)
#define TERNC_STRAIGHT_LINE __attribute__((noinline, optimize("no-tree-reassoc", "no-schedule-insns", "no-tree-forwprop")))
#else
#define TERNC_STRAIGHT_LINE
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TERNC_LINES_RARELY(condition) __builtin_expect(condition, 0)
/* Hides where a number comes from: GCC would else extend each byte's sign before it is stored. */
#define TERNC_LINES_OPAQUE(value) __asm__("" : "+r"(value))
#else
#define TERNC_LINES_RARELY(condition) (condition)
#define TERNC_LINES_OPAQUE(value) ((void)0)
#endif

/* Requantizes a lane in the top half of a word; c holds -m/2, which takes its 0x8000 out again. */
static inline int32_t ternc_lines_value(uint32_t lane, uint32_t m, uint32_t c, uint32_t shift) {
  return (int32_t)((uint32_t)(((uint64_t)lane * m) >> 32) + c) >> shift;
}

static inline int32_t ternc_lines_clamp(int32_t v, int32_t lo, int32_t hi) {
  if (TERNC_LINES_RARELY((uint32_t)v - (uint32_t)lo > (uint32_t)hi - (uint32_t)lo)) {
    v = v < lo ? lo : hi;
  }
  TERNC_LINES_OPAQUE(v);
  return v;
}

#ifdef __cplusplus
extern "C" {
#endif

/* Sums of one block of outputs over one chunk of the window, at the positions x, x + step ... up to
 * `end`: TERNC_LINES_OUTPUTS words each, of two 16-bit lanes, each plus 0x8000. */
typedef void (*ternc_lines_block)(const uint32_t *x, const uint32_t *end, uint32_t step,
                                  uint32_t *sums);

/* The bytes of one block of outputs, where the window is so small that requantization costs more
 * than the sums: of lane 0 at y0, of lane 1 at y1 (which may be y0: lane 0 is stored last), with the
 * block's constants m and c. */
typedef void (*ternc_lines_bytes)(const uint32_t *x, const uint32_t *end, uint32_t step, int8_t *y0,
                                  int8_t *y1, const int32_t *m, const int32_t *c);

ternc_status ternc_lines_check(const ternc_op *op);

/* blocks[block*chunks + chunk] */
void ternc_lines_run(const ternc_op *op, const ternc_lines_block *blocks);

/* The same for blocks of `outputs` that store bytes; one chunk. */
void ternc_lines_run_bytes(const ternc_op *op, const ternc_lines_bytes *blocks, uint32_t outputs);

#ifdef __cplusplus
}
#endif
#endif

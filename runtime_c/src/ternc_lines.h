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

#ifdef __cplusplus
extern "C" {
#endif

/* Sums of one block of outputs over one chunk of the window, at the positions x, x + step ... up to
 * `end`: TERNC_LINES_OUTPUTS words each, of two 16-bit lanes, each plus 0x8000. */
typedef void (*ternc_lines_block)(const uint32_t *x, const uint32_t *end, uint32_t step,
                                  uint32_t *sums);

ternc_status ternc_lines_check(const ternc_op *op);

/* blocks[block*chunks + chunk] */
void ternc_lines_run(const ternc_op *op, const ternc_lines_block *blocks);

#ifdef __cplusplus
}
#endif
#endif

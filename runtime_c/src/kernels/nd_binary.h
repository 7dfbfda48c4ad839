/* Template of the elementwise kernels of two quantized tensors with broadcasting. No include guard:
 * it is included once per kernel, with
 *   ND_NAME  the instruction; its operands start with a, b, y
 *   ND_BITS  8 or 16, of a and b; y has as many or, beside 16, 8
 * after the definition of
 *   fits_<name>(args)           whether the number operands are valid for every a and b
 *   element_<name>(args, a, b)  one element of y
 */
#include "nd.h"

#define ND_PASTE2(a, b) a##_##b
#define ND_PASTE(a, b) ND_PASTE2(a, b)
#define ND_FN(f) ND_PASTE(f, ND_NAME)
#define ND_ARGS ND_PASTE(ND_PASTE(ternc, ND_NAME), args)
#define ND_WORDS(name, op) TERNC_ND_WORDS(name, op)
#if ND_BITS == 8
#define ND_TYPE int8_t
#else
#include "wide.h"
#define ND_TYPE int16_t
#endif

static ternc_status ND_FN(check)(const ternc_op *op) {
  const ND_ARGS *args = (const ND_ARGS *)op->args;
  const uint32_t *words = ND_WORDS(ND_NAME, op);
  if (!ND_FN(fits)(args)) return TERNC_E_OPERAND;
#if ND_BITS == 8
  if (!ternc_is_i8_range(args->lo, args->hi)) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, words, TERNC_I8, TERNC_I8);
#else
  if (!ternc_wide_fits(op, args->y, 0, args->lo, args->hi)) return TERNC_E_OPERAND;
  return ternc_nd_check_ab(op, words, TERNC_I16, ternc_record(op, args->y)->dtype);
#endif
}

static uint32_t ND_FN(rows)(const ternc_op *op) { return ternc_nd_rows(ND_WORDS(ND_NAME, op)); }

static void ND_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ND_ARGS *args = (const ND_ARGS *)op->args;
  const ND_TYPE *a = (const ND_TYPE *)ternc_data(op, args->a);
  const ND_TYPE *b = (const ND_TYPE *)ternc_data(op, args->b);
#if ND_BITS == 8
  int8_t *y = (int8_t *)ternc_data(op, args->y) + begin;
#else
  void *y = ternc_data(op, args->y);
  const int narrow = ternc_is_narrow(op, args->y);
#endif
  size_t step_a, step_b;
  uint32_t run;
  ternc_nd nd;
  if (begin >= end) return;
  ternc_nd_start(&nd, ND_WORDS(ND_NAME, op), begin);
  step_a = ternc_nd_step(&nd, 0);
  step_b = ternc_nd_step(&nd, 1);
#if ND_BITS == 8
  for (; begin < end; begin += run, y += run) {
#else
  for (; begin < end; begin += run) {
#endif
    size_t i = nd.at[0], j = nd.at[1];
    uint32_t k;
    run = ternc_nd_run(&nd, end - begin);
    for (k = 0; k < run; k++, i += step_a, j += step_b) {
#if ND_BITS == 8
      y[k] = (int8_t)ND_FN(element)(args, a[i], b[j]);
#else
      ternc_put(y, begin + k, narrow, ND_FN(element)(args, a[i], b[j]));
#endif
    }
    ternc_nd_next(&nd, run);
  }
}

#undef ND_NAME
#undef ND_BITS
#undef ND_PASTE2
#undef ND_PASTE
#undef ND_FN
#undef ND_ARGS
#undef ND_WORDS
#undef ND_TYPE

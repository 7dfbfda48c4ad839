/* Product of two quantized tensors with broadcasting. */
#include "nd.h"

static int fits_mul_i8(const ternc_mul_i8_args *args) {
  return ternc_is_i8(args->a_zero) && ternc_is_i8(args->b_zero) && args->shift <= TERNC_MAX_SHIFT;
}

static inline int32_t element_mul_i8(const ternc_mul_i8_args *args, int32_t a, int32_t b) {
  const int32_t product = (a - args->a_zero) * (b - args->b_zero);
  return ternc_requant(product, args->m, args->c, args->shift, args->lo, args->hi);
}

#define ND_NAME mul_i8
#define ND_BITS 8
#include "nd_binary.h"

TERNC_KERNEL(mul_i8, check_mul_i8, rows_mul_i8, run_mul_i8)

/* Product of two int16 tensors with broadcasting. */
#include "nd.h"

static int fits_mul_i16(const ternc_mul_i16_args *args) { return args->shift <= TERNC_MAX_SHIFT; }

static inline int32_t element_mul_i16(const ternc_mul_i16_args *args, int32_t a, int32_t b) {
  return ternc_requant(a * b, args->m, args->c, args->shift, args->lo, args->hi);
}

#define ND_NAME mul_i16
#define ND_BITS 16
#include "nd_binary.h"

TERNC_KERNEL(mul_i16, check_mul_i16, rows_mul_i16, run_mul_i16)

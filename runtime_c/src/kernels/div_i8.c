/* Quotient of two quantized tensors with broadcasting, rounded half up. */
#include "nd.h"

#define QUOTIENT_NAME quotient_div_i8
#define QUOTIENT_ARGS ternc_div_i8_args
#include "quotient.h"

static int fits_div_i8(const ternc_div_i8_args *args) {
  return ternc_is_i8(args->a_zero) && ternc_is_i8(args->b_zero) && args->shift <= 46;
}

static inline int32_t element_div_i8(const ternc_div_i8_args *args, int32_t a, int32_t b) {
  return quotient_div_i8(args, a - args->a_zero, b - args->b_zero);
}

#define ND_NAME div_i8
#define ND_BITS 8
#include "nd_binary.h"

TERNC_KERNEL(div_i8, check_div_i8, rows_div_i8, run_div_i8)

/* Quotient of two int16 tensors with broadcasting, rounded half up. */
#include "nd.h"

#define QUOTIENT_NAME quotient_div_i16
#define QUOTIENT_ARGS ternc_div_i16_args
#include "quotient.h"

static int fits_div_i16(const ternc_div_i16_args *args) { return args->shift <= 46; }

static inline int32_t element_div_i16(const ternc_div_i16_args *args, int32_t a, int32_t b) {
  return quotient_div_i16(args, a, b);
}

#define ND_NAME div_i16
#define ND_BITS 16
#include "nd_binary.h"

TERNC_KERNEL(div_i16, check_div_i16, rows_div_i16, run_div_i16)

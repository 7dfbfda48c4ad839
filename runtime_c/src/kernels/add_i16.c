/* Sum of two int16 tensors with broadcasting, in 64-bit arithmetic. */
#include "nd.h"

static int fits_add_i16(const ternc_add_i16_args *args) { return args->shift <= TERNC_MAX_SHIFT; }

/* 2*2^15*2^31 + 2^47 is below 2^63. */
static inline int32_t element_add_i16(const ternc_add_i16_args *args, int32_t a, int32_t b) {
  const int64_t sum = (int64_t)a * args->ma + (int64_t)b * args->mb + (int64_t)args->c * 65536;
  return ternc_clamp64(sum >> (16 + args->shift), args->lo, args->hi);
}

#define ND_NAME add_i16
#define ND_BITS 16
#include "nd_binary.h"

TERNC_KERNEL(add_i16, check_add_i16, rows_add_i16, run_add_i16)

/* Sum of two quantized tensors with broadcasting, in 32-bit arithmetic. */
#include "nd.h"

static int fits_add_i8(const ternc_add_i8_args *args) { return args->shift <= 31; }

/* The compiler proved that nothing overflows; unsigned, a hostile blob only wraps. */
static inline int32_t element_add_i8(const ternc_add_i8_args *args, int32_t a, int32_t b) {
  const uint32_t sum =
      (uint32_t)a * (uint32_t)args->ma + (uint32_t)b * (uint32_t)args->mb + (uint32_t)args->c;
  return ternc_clamp((int32_t)sum >> args->shift, args->lo, args->hi);
}

#define ND_NAME add_i8
#define ND_BITS 8
#include "nd_binary.h"

TERNC_KERNEL(add_i8, check_add_i8, rows_add_i8, run_add_i8)

/* Index of the maximum or minimum over the middle axis, int16. */
#define ARGMAX_NAME argmax_i16
#define ARGMAX_TYPE int16_t
#define ARGMAX_DTYPE TERNC_I16
#include "argmax.h"

TERNC_KERNEL(argmax_i16, check_argmax_i16, rows_argmax_i16, run_argmax_i16)

/* Index of the maximum or minimum over the middle axis, int8. */
#define ARGMAX_NAME argmax_i8
#define ARGMAX_TYPE int8_t
#define ARGMAX_DTYPE TERNC_I8
#include "argmax.h"

TERNC_KERNEL(argmax_i8, check_argmax_i8, rows_argmax_i8, run_argmax_i8)

/* Layer normalization over the last axis, int8, in integers only. */
#define LAYERNORM_NAME layernorm_i8
#define LAYERNORM_BITS 8
#include "layernorm.h"

TERNC_KERNEL(layernorm_i8, check_layernorm_i8, rows_layernorm_i8, run_layernorm_i8)

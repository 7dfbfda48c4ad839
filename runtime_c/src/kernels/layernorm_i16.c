/* Layer normalization over the last axis, int16, in integers only. */
#define LAYERNORM_NAME layernorm_i16
#define LAYERNORM_BITS 16
#include "layernorm.h"

TERNC_KERNEL(layernorm_i16, check_layernorm_i16, rows_layernorm_i16, run_layernorm_i16)

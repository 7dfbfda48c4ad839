/* Natural logarithm. */
#include "map_f32.h"

TERNC_MAP_F32(log_f32, ternc_logf)

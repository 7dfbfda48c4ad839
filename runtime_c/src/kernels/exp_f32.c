/* Exponential. */
#include "map_f32.h"

TERNC_MAP_F32(exp_f32, ternc_expf)

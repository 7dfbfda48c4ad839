/* Error function. */
#include "map_f32.h"

TERNC_MAP_F32(erf_f32, ternc_erff)

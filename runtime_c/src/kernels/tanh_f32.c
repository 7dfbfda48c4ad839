/* Hyperbolic tangent. */
#include "map_f32.h"

TERNC_MAP_F32(tanh_f32, ternc_tanhf)

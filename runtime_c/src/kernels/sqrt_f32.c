/* Square root, correctly rounded. */
#include "map_f32.h"

TERNC_MAP_F32(sqrt_f32, ternc_sqrtf)

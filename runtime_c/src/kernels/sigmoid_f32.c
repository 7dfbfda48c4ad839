/* Logistic function. */
#include "map_f32.h"

TERNC_MAP_F32(sigmoid_f32, ternc_sigmoidf)

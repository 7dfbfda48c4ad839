/* Dense layer, ternary weights, int8 activations, fixed-point requantization. */
#define MAC_NAME dense_i8_t2
#define MAC_X MAC_I8
#define MAC_W MAC_T2
#define MAC_Y MAC_I8
#include "dense.h"

TERNC_KERNEL(dense_i8_t2, check_dense_i8_t2, rows_dense_i8_t2, run_dense_i8_t2)

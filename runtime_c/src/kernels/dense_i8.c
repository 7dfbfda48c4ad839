/* Dense layer, int8 with fixed-point requantization. */
#define MAC_NAME dense_i8
#define MAC_X MAC_I8
#define MAC_W MAC_I8
#define MAC_Y MAC_I8
#include "dense.h"

TERNC_KERNEL(dense_i8, check_dense_i8, rows_dense_i8, run_dense_i8)

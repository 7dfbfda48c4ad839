/* Dense layer, int8 in, float32 out. */
#define MAC_NAME dense_i8f
#define MAC_X MAC_I8
#define MAC_W MAC_I8
#define MAC_Y MAC_F32
#include "dense.h"

TERNC_KERNEL(dense_i8f, check_dense_i8f, rows_dense_i8f, run_dense_i8f)

/* Dense layer, ternary weights, int8 in, float32 out. */
#define MAC_NAME dense_i8f_t2
#define MAC_X MAC_I8
#define MAC_W MAC_T2
#define MAC_Y MAC_F32
#include "dense.h"

TERNC_KERNEL(dense_i8f_t2, check_dense_i8f_t2, rows_dense_i8f_t2, run_dense_i8f_t2)

/* Dense layer, all float32. */
#define MAC_NAME dense_f32
#define MAC_X MAC_F32
#define MAC_W MAC_F32
#define MAC_Y MAC_F32
#include "dense.h"

TERNC_KERNEL(dense_f32, check_dense_f32, rows_dense_f32, run_dense_f32)

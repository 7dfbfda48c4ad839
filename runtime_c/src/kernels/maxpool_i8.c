/* Maximum over windows of an NHWC image, int8. */
#define MAXPOOL_NAME maxpool_i8
#define MAXPOOL_TYPE int8_t
#define MAXPOOL_DTYPE TERNC_I8
#define MAXPOOL_LOWEST -128
#include "maxpool.h"

TERNC_KERNEL(maxpool_i8, check_maxpool_i8, rows_maxpool_i8, run_maxpool_i8)

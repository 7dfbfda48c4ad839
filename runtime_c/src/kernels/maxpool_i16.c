/* Maximum over windows of an NHWC image, int16. */
#define MAXPOOL_NAME maxpool_i16
#define MAXPOOL_TYPE int16_t
#define MAXPOOL_DTYPE TERNC_I16
#define MAXPOOL_LOWEST -32768
#include "maxpool.h"

TERNC_KERNEL(maxpool_i16, check_maxpool_i16, rows_maxpool_i16, run_maxpool_i16)

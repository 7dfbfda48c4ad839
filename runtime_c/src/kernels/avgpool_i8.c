/* Mean over windows of an NHWC image, int8. */
#define AVGPOOL_NAME avgpool_i8
#define AVGPOOL_BITS 8
#include "avgpool.h"

TERNC_KERNEL(avgpool_i8, check_avgpool_i8, rows_avgpool_i8, run_avgpool_i8)

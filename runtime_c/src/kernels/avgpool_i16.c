/* Mean over windows of an NHWC image, int16. */
#define AVGPOOL_NAME avgpool_i16
#define AVGPOOL_BITS 16
#include "avgpool.h"

TERNC_KERNEL(avgpool_i16, check_avgpool_i16, rows_avgpool_i16, run_avgpool_i16)

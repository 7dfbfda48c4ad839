/* Maximum over windows of an NHWC image, float32; of an empty window the lowest finite number, as in
 * onnxruntime. */
#define MAXPOOL_NAME maxpool_f32
#define MAXPOOL_TYPE float
#define MAXPOOL_DTYPE TERNC_F32
#define MAXPOOL_LOWEST ternc_bits_float(0xff7fffffu)
#define MAXPOOL_LEAST ternc_bits_float(0xff800000u) /* minus infinity, which masks are */
#include "maxpool.h"

TERNC_KERNEL(maxpool_f32, check_maxpool_f32, rows_maxpool_f32, run_maxpool_f32)

/* The inverses of sine, cosine and tangent, in float32: relative error 2.5e-7; NaN outside -1..1
 * for the first two. */
#include "map_f32.h"

enum { ARC_SIN, ARC_COS, ARC_TAN, ARC_OPS };

#define HALF_PI 1.5707963267948966f

/* asin(x) of |x| <= 1/2 */
static float arcsine(float x) {
  const float u = x * x;
  float p = 0.042218565940856934f;
  p = p * u + 0.024147599935531616f;
  p = p * u + 0.04547709971666336f;
  p = p * u + 0.07495241612195969f;
  p = p * u + 0.16666753590106964f;
  return x + x * (u * p);
}

/* asin(x) = pi/2 - 2 asin(sqrt((1 - x)/2)): of 1/2 <= x <= 1 the second term. */
static float complement(float x) { return 2.0f * arcsine(ternc_sqrtf(0.5f * (1.0f - x))); }

static float arctangent(float a) {
  const float x = a > 2.4142135f ? -1.0f / a : a > 0.41421357f ? (a - 1.0f) / (a + 1.0f) : a;
  const float from = a > 2.4142135f ? HALF_PI : a > 0.41421357f ? 0.5f * HALF_PI : 0.0f;
  const float u = x * x;
  float p = -0.06083223596215248f;
  p = p * u + 0.10595916465547012f;
  p = p * u - 0.1424383819103241f;
  p = p * u + 0.19998489320278168f;
  p = p * u - 0.33333316445350647f;
  return from + (x + x * (u * p));
}

static float apply_arc_f32(uint32_t op, float v) {
  const float a = v < 0.0f ? -v : v;
  float y;
  if (op == ARC_COS) {
    if (a <= 0.5f) return HALF_PI - arcsine(v);
    y = complement(a);
    return v < 0.0f ? 2.0f * HALF_PI - y : y;
  }
  if (op == ARC_TAN) {
    y = arctangent(a);
  } else {
    if (a <= 0.5f) return arcsine(v);
    y = HALF_PI - complement(a);
  }
  return v < 0.0f ? -y : a == 0.0f ? v : y;
}

static ternc_status check_arc_f32(const ternc_op *op) {
  const ternc_arc_f32_args *args = (const ternc_arc_f32_args *)op->args;
  if (args->op >= ARC_OPS) return TERNC_E_OPERAND;
  return ternc_map_f32_check(op, args->x, args->y, args->count);
}

static uint32_t rows_arc_f32(const ternc_op *op) {
  return ((const ternc_arc_f32_args *)op->args)->count;
}

static void run_arc_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_arc_f32_args args = *(const ternc_arc_f32_args *)op->args;
  const float *x = (const float *)ternc_data(op, args.x);
  float *y = (float *)ternc_data(op, args.y);
  for (; begin < end; begin++) y[begin] = apply_arc_f32(args.op, x[begin]);
}

TERNC_KERNEL(arc_f32, check_arc_f32, rows_arc_f32, run_arc_f32)

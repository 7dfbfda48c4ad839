/* Matrix product of two float32 tensors, any strides. Four partial sums, as in the other float
 * layers: the order depends on the inner length alone. */
#include "matmul.h"

static ternc_status check_matmul_f32(const ternc_op *op) { return ternc_matmul_check(op, TERNC_F32); }

static void run_matmul_f32(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_matmul_f32_args args = *(const ternc_matmul_f32_args *)op->args;
  const float *a = (const float *)ternc_data(op, args.a);
  const float *b = (const float *)ternc_data(op, args.b);
  float *y = (float *)ternc_data(op, args.y);
  const size_t a_step = args.a_inner, b_step = args.b_inner;
  size_t at, last;
  ternc_matmul_range(&args, begin, end, &at, &last);
  for (; at < last; at++) {
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    size_t p, q;
    uint32_t left = args.inner;
    ternc_matmul_at(&args, at, &p, &q);
    for (; left >= 4; left -= 4, p += 4 * a_step, q += 4 * b_step) {
      s0 += a[p] * b[q];
      s1 += a[p + a_step] * b[q + b_step];
      s2 += a[p + 2 * a_step] * b[q + 2 * b_step];
      s3 += a[p + 3 * a_step] * b[q + 3 * b_step];
    }
    for (; left > 0; left--, p += a_step, q += b_step) s0 += a[p] * b[q];
    y[at] = (s0 + s1) + (s2 + s3);
  }
}

TERNC_KERNEL(matmul_f32, check_matmul_f32, ternc_matmul_rows, run_matmul_f32)

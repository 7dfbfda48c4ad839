/* A form of avgpool_i8: the window is the image. */
#include "fast.h"

typedef ternc_avgpool_i8_args global_args;

TERNC_COLD static ternc_status check_avgpool_i8_global(const ternc_op *op) {
  const global_args *a = (const global_args *)op->args;
  const uint64_t pixels = (uint64_t)a->in_h * a->in_w;
  if (!ternc_is_dim(a->n) || !ternc_is_dim(a->channels) || a->kernel_h != a->in_h ||
      a->kernel_w != a->in_w || a->out_h != 1 || a->out_w != 1 || a->dilation_h != 1 ||
      a->dilation_w != 1 || a->pad_top != 0 || a->pad_left != 0 || a->stride_h - 1 >= 1u << 28 ||
      a->stride_w - 1 >= 1u << 28 || a->pad_bottom != 0 || a->pad_right != 0 || pixels == 0 ||
      pixels > 1u << 22 || (a->m_count != 1 && a->m_count < pixels) || !ternc_is_i8(a->x_zero) ||
      !ternc_is_requant(a->shift, a->lo, a->hi) || ternc_expect(op, a->m, TERNC_I32, a->m_count) ||
      ternc_expect(op, a->x, TERNC_I8, ternc_mul_sat(pixels * a->n, a->channels)) ||
      ternc_expect(op, a->y, TERNC_I8, (uint64_t)a->n * a->channels)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one image. */
static uint32_t rows_avgpool_i8_global(const ternc_op *op) {
  return ((const global_args *)op->args)->n;
}

static void run_avgpool_i8_global(const ternc_op *op, uint32_t begin, uint32_t end) {
  const global_args *a = (const global_args *)op->args;
  const uint32_t channels = a->channels, pixels = a->in_h * a->in_w;
  const size_t size = (size_t)pixels * channels;
  const int8_t *x = (const int8_t *)ternc_data(op, a->x) + begin * size;
  const int32_t m = ((const int32_t *)ternc_data(op, a->m))[a->m_count == 1 ? 0 : pixels - 1];
  int8_t *y = (int8_t *)ternc_data(op, a->y) + (size_t)begin * channels;
  uint32_t ch;
  for (; begin < end; begin++, x += size) {
    for (ch = 0; ch < channels; ch++) {
      const int8_t *at = x + ch, *const stop = at + size;
      int32_t sum = 0;
      for (; at != stop; at += channels) sum += *at;
      sum -= (int32_t)pixels * a->x_zero;
      *y++ = (int8_t)ternc_requant(sum, m, a->c, a->shift, a->lo, a->hi);
    }
  }
}

TERNC_KERNEL_FORM(avgpool_i8_global, avgpool_i8, check_avgpool_i8_global, rows_avgpool_i8_global,
                  run_avgpool_i8_global)

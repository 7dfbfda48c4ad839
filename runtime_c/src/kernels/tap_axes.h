/* The axes of a depthwise convolution whose words hold two positions of the output (internal): the
 * `along` one, which is cut in two lanes, rows or, where there is one row only, columns; and the
 * one `across`. */
#ifndef TERNC_TAP_AXES_H
#define TERNC_TAP_AXES_H

#include "fast.h"

typedef struct {
  uint32_t in, out, kernel, stride, dilation, x_step, y_step; /* elements from one to the next */
  int32_t pad;
} ternc_tap_axis;

/* Of an instruction's operands `a`, to two ternc_tap_axis. */
#define TERNC_TAP_AXES(a, along_axis, across_axis)                                              \
  do {                                                                                          \
    ternc_tap_axis *const rows_ = (a)->out_h > 1 ? &(along_axis) : &(across_axis);              \
    ternc_tap_axis *const columns_ = (a)->out_h > 1 ? &(across_axis) : &(along_axis);           \
    rows_->in = (a)->in_h;                                                                      \
    rows_->out = (a)->out_h;                                                                    \
    rows_->kernel = (a)->kernel_h;                                                              \
    rows_->stride = (a)->stride_h;                                                              \
    rows_->dilation = (a)->dilation_h;                                                          \
    rows_->x_step = (a)->in_w * (a)->in_c;                                                      \
    rows_->y_step = (a)->out_w * (a)->out_c;                                                    \
    rows_->pad = (a)->pad_top;                                                                  \
    columns_->in = (a)->in_w;                                                                   \
    columns_->out = (a)->out_w;                                                                 \
    columns_->kernel = (a)->kernel_w;                                                           \
    columns_->stride = (a)->stride_w;                                                           \
    columns_->dilation = (a)->dilation_w;                                                       \
    columns_->x_step = (a)->in_c;                                                               \
    columns_->y_step = (a)->out_c;                                                              \
    columns_->pad = (a)->pad_left;                                                              \
  } while (0)

/* Columns of one lane line are sorted by their phase (position modulo stride): how many there are. */
TERNC_INLINE uint32_t ternc_tap_phases(const ternc_tap_axis *along) {
  const int few = along->dilation == 1 || along->kernel == 1;
  return few && along->stride > along->kernel ? along->kernel : along->stride;
}

#endif

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

/* Of an instruction's operands `a`. */
#define TERNC_TAP_AXES(a, along_axis, across_axis)                                              \
  do {                                                                                          \
    const ternc_tap_axis rows_ = {(a)->in_h, (a)->out_h, (a)->kernel_h, (a)->stride_h,          \
                                  (a)->dilation_h, (a)->in_w * (a)->in_c,                       \
                                  (a)->out_w * (a)->out_c, (a)->pad_top};                       \
    const ternc_tap_axis columns_ = {(a)->in_w, (a)->out_w, (a)->kernel_w, (a)->stride_w,       \
                                     (a)->dilation_w, (a)->in_c, (a)->out_c, (a)->pad_left};    \
    (along_axis) = (a)->out_h > 1 ? rows_ : columns_;                                           \
    (across_axis) = (a)->out_h > 1 ? columns_ : rows_;                                          \
  } while (0)

/* Columns of one lane line are sorted by their phase (position modulo stride): how many there are. */
TERNC_INLINE uint32_t ternc_tap_phases(const ternc_tap_axis *along) {
  const int few = along->dilation == 1 || along->kernel == 1;
  return few && along->stride > along->kernel ? along->kernel : along->stride;
}

#endif

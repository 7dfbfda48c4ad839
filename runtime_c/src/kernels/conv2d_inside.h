/* Template: the sum over the taps of a convolution that meet the input; x is the group's first
 * channel at the first tap. Included by conv2d.h, with
 *   INSIDE_FN   the function
 *   INSIDE_SUM  what it sums in
 *   INSIDE_DOT  the sum of n products (x, x_step, at, w_step, n) */
static inline MAC_SUM INSIDE_FN(const MAC_FN(mac) *k, const MAC_FN(geometry) *g,
                                   const MAC_X_TYPE *x, uint32_t o, uint32_t zero,
                                   const ternc_conv_taps *h, const ternc_conv_taps *w) {
  const uint32_t channels = g->group_in;
  size_t at = (((size_t)o * g->h.kernel + h->k) * g->w.kernel + w->k) * channels;
  INSIDE_SUM sum = 0;
  uint32_t i, j;
  (void)zero;
  for (i = 0; i < h->count; i++, at += g->w_row) {
    const MAC_X_TYPE *row = x + i * g->row;
    if (g->pixel == channels && g->w_pixel == channels) { /* neighbours in both: one long dot */
      sum += INSIDE_DOT(row, 1, at, 1, w->count * channels);
    } else if (channels == 1) { /* depthwise */
      sum += INSIDE_DOT(row, g->pixel, at, g->w_pixel, w->count);
    } else {
      for (j = 0; j < w->count; j++) {
        sum += INSIDE_DOT(row + j * g->pixel, 1, at + j * g->w_pixel, 1, channels);
      }
    }
  }
  return (MAC_SUM)sum;
}

#undef INSIDE_FN
#undef INSIDE_SUM
#undef INSIDE_DOT

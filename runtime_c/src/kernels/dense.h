/* Template of the dense kernels; parameters as in mac.h. A row is a row of x or, when there is
 * only one, an output: so the work always divides. */
#include "mac.h"

TERNC_COLD static ternc_status MAC_FN(check)(const ternc_op *op) {
  const MAC_ARGS *args = (const MAC_ARGS *)op->args;
  if (!ternc_is_dim(args->rows) || !ternc_is_dim(args->in_features) ||
      !ternc_is_dim(args->out_features) ||
      !MAC_FN(fits)(op, args, (uint64_t)args->rows * args->in_features,
                    (uint64_t)args->out_features * args->in_features, args->out_features,
                    (uint64_t)args->rows * args->out_features)) {
    return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

static uint32_t MAC_FN(rows)(const ternc_op *op) {
  const MAC_ARGS *args = (const MAC_ARGS *)op->args;
  return args->rows == 1 ? args->out_features : args->rows;
}

static void MAC_FN(run)(const ternc_op *op, uint32_t begin, uint32_t end) {
  const MAC_ARGS args = *(const MAC_ARGS *)op->args; /* a copy, which no store to y can change */
  const MAC_FN(mac) k = MAC_FN(bind)(op, &args);
  const int single = args.rows == 1;
  const uint32_t row_end = single ? 1 : end;
  const uint32_t first = single ? begin : 0, last = single ? end : args.out_features;
  uint32_t row, o;
  for (row = single ? 0 : begin; row < row_end; row++) {
    const MAC_X_TYPE *x = k.x + (size_t)row * args.in_features;
    for (o = first; o < last; o++) {
      const MAC_SUM sum = MAC_FN(dot)(x, 1, k.w, (size_t)o * args.in_features, 1,
                                      args.in_features, MAC_FN(zero)(&k, o));
      MAC_FN(store)(&k, &args, (size_t)row * args.out_features + o, o, sum);
    }
  }
}

#include "mac_end.h"

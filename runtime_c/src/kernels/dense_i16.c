/* Dense layer, int16 activations, fixed-point requantization; int8 or, as their tensor says,
 * ternary weights. */
#include "../ternc_kernel.h"

typedef ternc_dense_i16_args ternc_dense_i16_w8_args, ternc_dense_i16_t2_args;

#define MAC_NAME dense_i16_w8
#define MAC_X MAC_I16
#define MAC_W MAC_I8
#define MAC_Y MAC_I16
#include "dense.h"

#define MAC_NAME dense_i16_t2
#define MAC_X MAC_I16
#define MAC_W MAC_T2
#define MAC_Y MAC_I16
#include "dense.h"

static int is_ternary_dense_i16(const ternc_op *op) {
  return ternc_record(op, ((const ternc_dense_i16_args *)op->args)->w)->dtype == TERNC_U8;
}

static ternc_status check_dense_i16(const ternc_op *op) {
  return is_ternary_dense_i16(op) ? check_dense_i16_t2(op) : check_dense_i16_w8(op);
}

static uint32_t rows_dense_i16(const ternc_op *op) {
  return is_ternary_dense_i16(op) ? rows_dense_i16_t2(op) : rows_dense_i16_w8(op);
}

/* Called through a table, so that neither is inlined: in one function, the inner loops would not
 * have the registers that they need. */
static void run_dense_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  static void (*const forms[2])(const ternc_op *, uint32_t, uint32_t) = {run_dense_i16_w8,
                                                                         run_dense_i16_t2};
  forms[is_ternary_dense_i16(op)](op, begin, end);
}

TERNC_KERNEL(dense_i16, check_dense_i16, rows_dense_i16, run_dense_i16)

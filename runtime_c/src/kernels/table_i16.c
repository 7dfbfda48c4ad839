/* Any function of an int16 number, by linear interpolation between nodes. The numbers are cut into 64
 * segments of 1024, each with nodes as dense as the function needs there: the compiler tries every
 * number and states the error. */
#include "wide.h"

enum { TABLE_SEGMENTS = 64, TABLE_SEGMENT_BITS = 10, TABLE_FRACTION = 4 };

static ternc_status check_table_i16(const ternc_op *op) {
  const ternc_table_i16_args *args = (const ternc_table_i16_args *)op->args;
  const int narrow = ternc_is_narrow(op, args->y);
  const int32_t edge = (narrow ? 128 : 32768) << TABLE_FRACTION;
  const uint32_t *segments;
  const int32_t *nodes;
  uint32_t count, i;
  if (ternc_expect(op, args->x, TERNC_I16, args->count) ||
      ternc_expect(op, args->y, narrow ? TERNC_I8 : TERNC_I16, args->count) ||
      ternc_expect(op, args->segments, TERNC_I32, TABLE_SEGMENTS) ||
      ternc_expect(op, args->nodes, TERNC_I32, 1)) {
    return TERNC_E_OPERAND;
  }
  segments = (const uint32_t *)ternc_data(op, args->segments);
  nodes = (const int32_t *)ternc_data(op, args->nodes);
  count = ternc_record(op, args->nodes)->size / 4u;
  for (i = 0; i < TABLE_SEGMENTS; i++) {
    const uint32_t step = segments[i] & 15u, first = segments[i] >> 4;
    if (step > TABLE_SEGMENT_BITS || first >= count ||
        (1u << (TABLE_SEGMENT_BITS - step)) >= count - first) {
      return TERNC_E_OPERAND;
    }
  }
  for (i = 0; i < count; i++) {
    if (nodes[i] < -edge || nodes[i] > edge) return TERNC_E_OPERAND;
  }
  return TERNC_OK;
}

/* A row is one element. */
static uint32_t rows_table_i16(const ternc_op *op) {
  return ((const ternc_table_i16_args *)op->args)->count;
}

static void run_table_i16(const ternc_op *op, uint32_t begin, uint32_t end) {
  const ternc_table_i16_args *args = (const ternc_table_i16_args *)op->args;
  const int16_t *x = (const int16_t *)ternc_data(op, args->x);
  const uint32_t *segments = (const uint32_t *)ternc_data(op, args->segments);
  const int32_t *nodes = (const int32_t *)ternc_data(op, args->nodes);
  void *y = ternc_data(op, args->y);
  const int narrow = ternc_is_narrow(op, args->y);
  const int32_t most = narrow ? 127 : 32767;
  for (; begin < end; begin++) {
    const uint32_t at = (uint32_t)(x[begin] + 32768);
    const uint32_t segment = segments[at >> TABLE_SEGMENT_BITS], step = segment & 15u;
    const uint32_t inside = at & ((1u << TABLE_SEGMENT_BITS) - 1u);
    const int32_t *node = nodes + (segment >> 4) + (inside >> step);
    const int32_t part = (int32_t)(inside & ((1u << step) - 1u)), half = (1 << step) >> 1;
    /* Differences are at most 2^20, parts below 2^10. */
    const int32_t fine = node[0] + (((node[1] - node[0]) * part + half) >> step);
    const int32_t value = (fine + (1 << (TABLE_FRACTION - 1))) >> TABLE_FRACTION;
    ternc_put(y, begin, narrow, value > most ? most : value);
  }
}

TERNC_KERNEL(table_i16, check_table_i16, rows_table_i16, run_table_i16)

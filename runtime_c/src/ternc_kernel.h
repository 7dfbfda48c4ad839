/* What a kernel is written against (internal to the runtime and to custom operators).
 *
 * A kernel has three functions: `check` runs once, at load, and must refuse every operand that
 * would make `run` touch memory outside the operands' tensors; `rows` says into how many
 * independent rows the work divides (NULL: it does not); `run` computes rows [begin, end). The
 * result must not depend on how the rows are divided, unless an output lies over a part of an input
 * (BYTECODE.md): then there is one range, of all rows. */
#ifndef TERNC_KERNEL_H
#define TERNC_KERNEL_H

#include "ternc_kernels.h"

#define TERNC_NONE 0xffffffffu      /* tensor operand that is absent */
#define TERNC_CONSTANTS TERNC_REGIONS /* region number of the constants in the blob */

typedef struct {
  const ternc_model *model;
  const void *args; /* ternc_<name>_args of the instruction, 4-byte aligned */
} ternc_op;

struct ternc_kernel {
  uint16_t code;
  uint16_t revision;
  uint16_t words;    /* number of operand words */
  const char *kinds; /* one letter per operand: isa.py, class Kind; upper case: may be absent */
  ternc_status (*check)(const ternc_op *op);
  uint32_t (*rows)(const ternc_op *op);
  void (*run)(const ternc_op *op, uint32_t begin, uint32_t end);
};

#if defined(__GNUC__) || defined(__clang__)
#define TERNC_UNUSED __attribute__((unused))
#define TERNC_COLD __attribute__((cold)) /* runs once: compiled for size */
#else
#define TERNC_UNUSED
#define TERNC_COLD
#endif

/* What is around a kernel's loops: compiled for size. Not cold: GCC takes what only cold functions
 * call to be cold as well. */
#if defined(__GNUC__) && !defined(__clang__)
#define TERNC_OUTER __attribute__((optimize("Os")))
#else
#define TERNC_OUTER
#endif

/* The rows of the instruction table as constants: TERNC_CODE_x, TERNC_REVISION_x, TERNC_WORDS_x
 * and ternc_kinds_x[]. A compiler drops the strings that a file does not name. */
#define TERNC_ROW_NUMBERS(c, n, r, w, k) TERNC_CODE_##n = c, TERNC_REVISION_##n = r, TERNC_WORDS_##n = w,
enum { TERNC_OPCODES(TERNC_ROW_NUMBERS) TERNC_OPCODES_END };
#undef TERNC_ROW_NUMBERS
#define TERNC_ROW_KINDS(c, n, r, w, k) static const char ternc_kinds_##n[] TERNC_UNUSED = k;
TERNC_OPCODES(TERNC_ROW_KINDS)
#undef TERNC_ROW_KINDS

/* Defines ternc_k_<name>, so that code, revision, words and kinds are stated once, in the table:
 *   TERNC_KERNEL(dense_i8, check_dense_i8, rows_dense_i8, run_dense_i8)
 * (no semicolon after it; the typedef fails to compile when the argument struct has padding). */
#define TERNC_KERNEL(name, check, rows, run)                                               \
  typedef char ternc_words_##name[sizeof(ternc_##name##_args) == 4u * TERNC_WORDS_##name ? 1 : -1]; \
  const ternc_kernel ternc_k_##name = {TERNC_CODE_##name, TERNC_REVISION_##name, TERNC_WORDS_##name, \
                                       ternc_kinds_##name, check, rows, run};

/* Defines ternc_k_<form>, which is like ternc_k_<name> but refuses some of its operands: a header
 * names it where all of a model's instructions are of those that it takes (kernel_forms.py). */
#define TERNC_KERNEL_FORM(form, name, check, rows, run)                                          \
  const ternc_kernel ternc_k_##form = {TERNC_CODE_##name, TERNC_REVISION_##name, TERNC_WORDS_##name, \
                                       ternc_kinds_##name, check, rows, run};

typedef struct { /* one record of the tensor table */
  uint8_t dtype, region;
  uint16_t zero;
  uint32_t offset, size;
} ternc_tensor_record;

static inline const ternc_tensor_record *ternc_record(const ternc_op *op, uint32_t tensor) {
  return (const ternc_tensor_record *)(const void *)op->model->tensors + tensor;
}

#ifdef __cplusplus
extern "C" {
#endif
/* Address of a tensor's first byte; NULL when absent. */
void *ternc_data(const ternc_op *op, uint32_t tensor);
#ifdef __cplusplus
}
#endif

#endif

/* What the kernel tests call through ctypes: one kernel on tensors laid out by hand, and the
 * elementary functions over arrays. */
#include "ternc_kernel.h"
#include "ternc_math.h"

static ternc_op operation(ternc_model *model, const ternc_tensor_record *records, uint32_t count,
                          uint8_t *scratch, const uint8_t *constants, const uint32_t *args) {
  ternc_op op;
  uint32_t i;
  model->tensors = (const uint8_t *)records;
  model->n_tensors = count;
  model->constants = constants;
  for (i = 0; i < TERNC_REGIONS; i++) model->regions[i] = scratch;
  op.model = model;
  op.args = args;
  return op;
}

int shim_check(const ternc_kernel *kernel, const ternc_tensor_record *records, uint32_t count,
               uint8_t *scratch, const uint8_t *constants, const uint32_t *args) {
  ternc_model model;
  const ternc_op op = operation(&model, records, count, scratch, constants, args);
  return (int)kernel->check(&op);
}

/* 0 when the kernel's work does not divide. */
uint32_t shim_rows(const ternc_kernel *kernel, const ternc_tensor_record *records, uint32_t count,
                   uint8_t *scratch, const uint8_t *constants, const uint32_t *args) {
  ternc_model model;
  const ternc_op op = operation(&model, records, count, scratch, constants, args);
  return kernel->rows == NULL ? 0 : kernel->rows(&op);
}

void shim_run(const ternc_kernel *kernel, const ternc_tensor_record *records, uint32_t count,
              uint8_t *scratch, const uint8_t *constants, const uint32_t *args, uint32_t begin,
              uint32_t end) {
  ternc_model model;
  const ternc_op op = operation(&model, records, count, scratch, constants, args);
  kernel->run(&op, begin, end);
}

uint32_t shim_code(const ternc_kernel *kernel) { return kernel->code; }
const char *shim_kinds(const ternc_kernel *kernel) { return kernel->kinds; }

#define SHIM_UNARY(name)                                             \
  void shim_##name(const float *x, float *y, size_t count) {         \
    size_t i;                                                        \
    for (i = 0; i < count; i++) y[i] = ternc_##name(x[i]);           \
  }
SHIM_UNARY(expf)
SHIM_UNARY(expm1f)
SHIM_UNARY(logf)
SHIM_UNARY(log1pf)
SHIM_UNARY(tanhf)
SHIM_UNARY(sigmoidf)
SHIM_UNARY(erff)
SHIM_UNARY(sqrtf)

void shim_powf(const float *x, const float *exponent, float *y, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) y[i] = ternc_powf(x[i], exponent[i]);
}

/* Running a loaded model, and its inputs and outputs. Loading is in ternc_load.c. */
#include "ternc_arith.h"

#ifdef __cplusplus
extern "C" {
#endif
void *memset(void *, int, size_t); /* <string.h> is not a freestanding header */
#ifdef __cplusplus
}
#endif

/* Offset of each field of an IO record (BYTECODE.md), in 32-bit words. */
enum { IO_TENSOR = 1, IO_NAME = 2, IO_TYPE = 3, IO_SCALE = 4, IO_ZERO = 5, IO_RANK = 6, IO_DIMS = 7,
       IO_WORDS = 16 };

/* The table is small (one entry per kind of instruction), so searching it costs less than the
 * memory of an index; ternc_load has made sure that the kernel is there. */
static const ternc_kernel *find(const ternc_model *model, uint32_t code) {
  uint32_t i;
  for (i = 0; i < model->n_kernels; i++) {
    if (model->kernels[i]->code == code) return model->kernels[i];
  }
  return NULL;
}

ternc_status ternc_run_with(ternc_model *model, ternc_callback callback, void *user) {
  const uint32_t *word;
  uint32_t i;
  if (model == NULL || model->blob == NULL) return TERNC_E_ARGUMENT;
  word = (const uint32_t *)(const void *)model->code;
  for (i = 0; i < model->n_instructions; i++) {
    const uint32_t code = word[0] & 0xffffu;
    const ternc_kernel *kernel = find(model, code);
    ternc_op op;
    if (callback != NULL && callback(user, i, code) != 0) return TERNC_E_ABORTED;
    if (kernel == NULL) return TERNC_E_KERNEL;
    op.model = model;
    op.args = word + 1;
    kernel->run(&op, 0, kernel->rows != NULL ? kernel->rows(&op) : 1);
    word += 1 + (word[0] >> 16);
  }
  if (callback != NULL && callback(user, i, 0) != 0) return TERNC_E_ABORTED;
  return TERNC_OK;
}

ternc_status ternc_run(ternc_model *model) { return ternc_run_with(model, NULL, NULL); }

ternc_status ternc_reset(ternc_model *model) {
  size_t needs[TERNC_REGIONS];
  ternc_status status;
  if (model == NULL || model->blob == NULL) return TERNC_E_ARGUMENT;
  /* ternc_load has checked the header; its size is enough for ternc_needs. */
  status = ternc_needs(model->blob, (size_t)UINT32_MAX, needs);
  if (status == TERNC_OK && needs[1] != 0) memset(model->regions[1], 0, needs[1]);
  return status;
}

uint32_t ternc_input_count(const ternc_model *model) { return model == NULL ? 0 : model->n_inputs; }

uint32_t ternc_output_count(const ternc_model *model) {
  return model == NULL ? 0 : model->n_io - model->n_inputs;
}

static int32_t signed_of(uint32_t bits) {
  union { uint32_t bits; int32_t value; } word;
  word.bits = bits;
  return word.value;
}

static ternc_status port(const ternc_model *model, uint32_t index, ternc_tensor *tensor) {
  const uint32_t *io = (const uint32_t *)(const void *)model->io + (size_t)index * IO_WORDS;
  const ternc_tensor_record *record;
  ternc_op op;
  uint32_t i;
  op.model = model;
  op.args = NULL;
  record = ternc_record(&op, io[IO_TENSOR]);
  tensor->name = model->strings + io[IO_NAME];
  tensor->data = ternc_data(&op, io[IO_TENSOR]);
  tensor->size = record->size;
  tensor->dtype = (ternc_dtype)record->dtype;
  tensor->onnx_type = io[IO_TYPE];
  tensor->scale = ternc_bits_float(io[IO_SCALE]);
  tensor->zero_point = signed_of(io[IO_ZERO]);
  tensor->rank = io[IO_RANK];
  for (i = 0; i < TERNC_MAX_RANK; i++) tensor->dims[i] = signed_of(io[IO_DIMS + i]);
  return TERNC_OK;
}

ternc_status ternc_input(const ternc_model *model, uint32_t index, ternc_tensor *tensor) {
  if (tensor == NULL || index >= ternc_input_count(model)) return TERNC_E_ARGUMENT;
  return port(model, index, tensor);
}

ternc_status ternc_output(const ternc_model *model, uint32_t index, ternc_tensor *tensor) {
  if (tensor == NULL || index >= ternc_output_count(model)) return TERNC_E_ARGUMENT;
  return port(model, model->n_inputs + index, tensor);
}

/* What an element holds for a real value: nearest, ties to even, saturated; NaN gives the zero
 * point. Elements without a scale hold the value itself. */
static int32_t quantized(float value, const ternc_tensor *t) {
  const float scale = t->scale == 0.0f ? 1.0f : t->scale;
  const int32_t zero = t->scale == 0.0f ? 0 : t->zero_point;
  float rounded;
  switch (t->dtype) {
    case TERNC_I8: return ternc_quantize(value, scale, zero, INT8_MIN, INT8_MAX);
    case TERNC_U8: return ternc_quantize(value, scale, zero, 0, UINT8_MAX);
    case TERNC_I16: return ternc_quantize(value, scale, zero, INT16_MIN, INT16_MAX);
    case TERNC_I32: break;
    default: return value != 0.0f; /* TERNC_BOOL */
  }
  rounded = ternc_roundf(value / scale);
  if (rounded != rounded) return zero;
  if (rounded >= 2147483648.0f) return INT32_MAX;
  if (rounded < -2147483648.0f) return INT32_MIN;
  return ternc_clamp64((int64_t)(int32_t)rounded + zero, INT32_MIN, INT32_MAX);
}

ternc_status ternc_set_input(const ternc_model *model, uint32_t index, const float *values,
                             size_t count) {
  ternc_tensor t;
  size_t i;
  const ternc_status status = ternc_input(model, index, &t);
  if (status != TERNC_OK) return status;
  if (values == NULL || count != t.size / ternc_element_size(t.dtype)) return TERNC_E_ARGUMENT;
  for (i = 0; i < count; i++) {
    switch (t.dtype) {
      case TERNC_F32: ((float *)t.data)[i] = values[i]; break;
      case TERNC_I16: ((int16_t *)t.data)[i] = (int16_t)quantized(values[i], &t); break;
      case TERNC_I32: ((int32_t *)t.data)[i] = quantized(values[i], &t); break;
      default: ((uint8_t *)t.data)[i] = (uint8_t)quantized(values[i], &t); break;
    }
  }
  return TERNC_OK;
}

ternc_status ternc_get_output(const ternc_model *model, uint32_t index, float *values,
                              size_t count) {
  ternc_tensor t;
  size_t i;
  const ternc_status status = ternc_output(model, index, &t);
  if (status != TERNC_OK) return status;
  if (values == NULL || count != t.size / ternc_element_size(t.dtype)) return TERNC_E_ARGUMENT;
  for (i = 0; i < count; i++) {
    int64_t q;
    switch (t.dtype) {
      case TERNC_F32: values[i] = ((const float *)t.data)[i]; continue;
      case TERNC_I8: q = ((const int8_t *)t.data)[i]; break;
      case TERNC_I16: q = ((const int16_t *)t.data)[i]; break;
      case TERNC_I32: q = ((const int32_t *)t.data)[i]; break;
      default: q = ((const uint8_t *)t.data)[i]; break; /* TERNC_U8, TERNC_BOOL */
    }
    values[i] = t.scale == 0.0f ? (float)q : (float)(q - t.zero_point) * t.scale;
  }
  return TERNC_OK;
}

const char *ternc_message(ternc_status status) {
#ifdef TERNC_NO_MESSAGES
  (void)status;
#else
  switch (status) {
    case TERNC_OK: return "no error";
    case TERNC_E_ARGUMENT: return "a pointer is null, or an index or a count is out of range";
    case TERNC_E_MAGIC: return "this is not a ternc blob";
    case TERNC_E_VERSION: return "the blob is of another major version than this runtime";
    case TERNC_E_ALIGNMENT: return "the blob or a region is not on a 16-byte boundary";
    case TERNC_E_TRUNCATED: return "the blob is longer than the bytes given";
    case TERNC_E_CRC: return "the blob is damaged: its checksum does not match";
    case TERNC_E_SECTION: return "a section is missing, malformed, or required and unknown";
    case TERNC_E_OPCODE: return "an instruction, or its revision, is not known to this runtime";
    case TERNC_E_KERNEL: return "the kernel of an instruction is not in the table given to load";
    case TERNC_E_OPERAND: return "an operand is out of range or does not fit its tensor";
    case TERNC_E_REGION: return "a memory region is smaller than the model needs";
    case TERNC_E_ENDIAN: return "this machine is big-endian";
    case TERNC_E_ABORTED: return "the callback stopped the run";
  }
#endif
  return "";
}

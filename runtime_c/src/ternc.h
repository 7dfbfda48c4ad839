/* ternc: runs compiled ternary-weight neural networks on small chips.
 *
 * C99, no malloc, no globals, no libm. The caller owns all memory; constants stay where the blob
 * is (flash). Several models may be loaded at once; they may share region 0 when they do not run
 * at the same time.
 *
 * Loading
 * ------- */
#ifndef TERNC_H
#define TERNC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TERNC_VERSION_MAJOR 1
#define TERNC_VERSION_MINOR 0
#define TERNC_REGIONS 3     /* 0 scratch, 1 state, 2 slow scratch (PSRAM) */
#define TERNC_MAX_RANK 8
#define TERNC_ALIGNMENT 16  /* of the blob and of every region */

#if defined(__GNUC__) || defined(__clang__)
#define TERNC_ALIGNED __attribute__((aligned(16)))
#else
#define TERNC_ALIGNED
#endif

/* Negative values are errors. */
typedef enum {
  TERNC_OK = 0,
  TERNC_E_ARGUMENT = -1,     /* a null pointer, or an index out of range */
  TERNC_E_MAGIC = -2,        /* not a ternc blob */
  TERNC_E_VERSION = -3,      /* the blob is of another major version */
  TERNC_E_ALIGNMENT = -4,    /* the blob or a region is not on a 16-byte boundary */
  TERNC_E_TRUNCATED = -5,    /* the blob is longer than the bytes given */
  TERNC_E_CRC = -6,          /* the blob is damaged */
  TERNC_E_SECTION = -7,      /* a section is missing, malformed, or required and unknown */
  TERNC_E_OPCODE = -8,       /* an instruction, or its revision, that this runtime does not know */
  TERNC_E_KERNEL = -9,       /* the kernel of an instruction is not in the table given to load */
  TERNC_E_OPERAND = -10,     /* an operand is out of range or does not fit its tensor */
  TERNC_E_REGION = -11,      /* a region is smaller than the model needs */
  TERNC_E_ENDIAN = -12,      /* this machine is big-endian */
  TERNC_E_ABORTED = -13      /* the yield callback asked to stop */
} ternc_status;

typedef enum {
  TERNC_F32 = 1, TERNC_I8 = 2, TERNC_U8 = 3, TERNC_I16 = 4, TERNC_I32 = 5, TERNC_BOOL = 6
} ternc_dtype;

typedef struct ternc_kernel ternc_kernel; /* one instruction's code; declared in ternc_kernels.h */

typedef struct {
  void *data;
  size_t size; /* bytes */
} ternc_region;

/* A loaded model: filled in by ternc_load, owned by the caller, no cleanup needed. The fields are
 * the runtime's own. */
typedef struct ternc_model {
  const uint8_t *blob;
  const uint8_t *tensors;  /* TENS payload */
  const uint8_t *io;       /* IO payload */
  const uint8_t *code;     /* CODE payload */
  const char *strings;     /* STRS payload */
  const uint8_t *constants; /* DATA payload */
  uint32_t n_tensors, n_io, n_inputs, n_instructions, strings_size, constants_size;
  uint8_t *regions[TERNC_REGIONS];
  const ternc_kernel *const *kernels;
  uint32_t n_kernels;
  uint32_t failed_code;    /* opcode that a TERNC_E_OPCODE, _KERNEL or _OPERAND is about */
} ternc_model;

/* What a blob needs: bytes of each region. Reads only the header (magic, version, size). */
ternc_status ternc_needs(const void *blob, size_t size, size_t needs[TERNC_REGIONS]);

/* Verifies the whole blob and binds it to memory. `regions` has TERNC_REGIONS entries; one that
 * the model does not need may be {NULL, 0}. `kernels` lists the instructions' code: the table in
 * a generated header, or ternc_kernels_all. State is reset. */
ternc_status ternc_load(ternc_model *model, const void *blob, size_t size,
                        const ternc_kernel *const *kernels, size_t n_kernels,
                        const ternc_region *regions);

/* Running
 * ------- */

/* Runs the model once. Inputs may be overwritten; outputs are valid until the next run. */
ternc_status ternc_run(ternc_model *model);

/* Called before each instruction (`instruction` counts from 0; opcode tells its kind) and, after
 * the last, once with instruction == number of instructions. Use it to feed the task watchdog or
 * to read a cycle counter; a non-zero return stops the run with TERNC_E_ABORTED. */
typedef int (*ternc_callback)(void *user, uint32_t instruction, uint32_t opcode);
ternc_status ternc_run_with(ternc_model *model, ternc_callback callback, void *user);

/* Zeroes region 1 (the state of stateful models). */
ternc_status ternc_reset(ternc_model *model);

/* Inputs and outputs
 * ------------------ */
typedef struct {
  const char *name;
  void *data;              /* write inputs here, read outputs here */
  size_t size;             /* bytes */
  ternc_dtype dtype;
  uint32_t onnx_type;      /* element type that the model declares (ONNX TensorProto) */
  float scale;             /* real = (data - zero_point) * scale; 0 when not quantized */
  int32_t zero_point;
  uint32_t rank;
  int32_t dims[TERNC_MAX_RANK];
} ternc_tensor;

uint32_t ternc_input_count(const ternc_model *model);
uint32_t ternc_output_count(const ternc_model *model);
ternc_status ternc_input(const ternc_model *model, uint32_t index, ternc_tensor *tensor);
ternc_status ternc_output(const ternc_model *model, uint32_t index, ternc_tensor *tensor);

/* Fills an input from float values (quantizing as the model says), or reads an output as float.
 * `count` must be the tensor's number of elements. */
ternc_status ternc_set_input(const ternc_model *model, uint32_t index, const float *values, size_t count);
ternc_status ternc_get_output(const ternc_model *model, uint32_t index, float *values, size_t count);

/* A sentence for a status; "" when built with TERNC_NO_MESSAGES. */
const char *ternc_message(ternc_status status);

#ifdef __cplusplus
}
#endif
#endif

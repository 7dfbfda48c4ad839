/* Loading: proves, once, that running the blob cannot leave its own memory. Nothing in the blob is
 * trusted; every size is compared by subtraction from a larger known one, so nothing overflows. */
#include "ternc_arith.h"

#ifdef __cplusplus
extern "C" {
#endif
void *memset(void *, int, size_t); /* <string.h> is not a freestanding header */
#ifdef __cplusplus
}
#endif

#define TAG(a, b, c, d) \
  ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum { HEADER_BYTES = 32, SECTION_BYTES = 16, REQUIRED = 1 };
enum { OPS_BYTES = 4, TENSOR_BYTES = 12, IO_BYTES = 64 };

/* Words of an IO record: kind, tensor, name, ONNX type, scale, zero point, rank, dims. */
enum { IO_KIND = 0, IO_TENSOR = 1, IO_NAME = 2, IO_SCALE = 4, IO_RANK = 6, IO_DIMS = 7 };

typedef struct {
  const uint8_t *data; /* NULL: not in the blob */
  uint32_t size, count;
} section;

typedef struct {
  section ops, tensors, io, code, data, strings;
} sections;

static uint32_t word_at(const void *base, size_t index) {
  return ((const uint32_t *)base)[index];
}

static int big_endian(void) {
  const uint32_t one = 1;
  return *(const uint8_t *)(const void *)&one == 0;
}

/* CRC-32 (IEEE 802.3), four bits at a time: a table of 64 bytes, twice as fast as bit by bit. */
static uint32_t crc32(const uint8_t *data, uint32_t size) {
  static const uint32_t table[16] = {
      0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
      0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
      0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
  uint32_t crc = 0xffffffffu, i;
  for (i = 0; i < size; i++) {
    crc ^= data[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return ~crc;
}

ternc_status ternc_needs(const void *blob, size_t size, size_t needs[TERNC_REGIONS]) {
  size_t i;
  if (blob == NULL || needs == NULL) return TERNC_E_ARGUMENT;
  if (big_endian()) return TERNC_E_ENDIAN;
  if ((uintptr_t)blob % TERNC_ALIGNMENT != 0) return TERNC_E_ALIGNMENT;
  if (size < HEADER_BYTES) return TERNC_E_TRUNCATED;
  if (word_at(blob, 0) != TAG('T', 'R', 'N', 'C')) return TERNC_E_MAGIC;
  if ((word_at(blob, 1) & 0xffffu) != TERNC_VERSION_MAJOR) return TERNC_E_VERSION;
  if (word_at(blob, 2) > size) return TERNC_E_TRUNCATED;
  if (word_at(blob, 2) < HEADER_BYTES) return TERNC_E_SECTION;
  for (i = 0; i < TERNC_REGIONS; i++) needs[i] = word_at(blob, 5 + i);
  return TERNC_OK;
}

static section *known(sections *all, uint32_t tag) {
  switch (tag) {
    case TAG('O', 'P', 'S', ' '): return &all->ops;
    case TAG('T', 'E', 'N', 'S'): return &all->tensors;
    case TAG('I', 'O', ' ', ' '): return &all->io;
    case TAG('C', 'O', 'D', 'E'): return &all->code;
    case TAG('D', 'A', 'T', 'A'): return &all->data;
    case TAG('S', 'T', 'R', 'S'): return &all->strings;
    default: return NULL;
  }
}

/* True when a section of fixed-size records holds as many as it says. */
static int counts(const section *s, uint32_t record) {
  return s->size % record == 0 && s->size / record == s->count;
}

static ternc_status walk(const uint8_t *blob, uint32_t size, sections *all) {
  uint32_t left = word_at(blob, 4), at = HEADER_BYTES;
  memset(all, 0, sizeof *all);
  for (; left > 0; left--) {
    const uint8_t *head = blob + at;
    uint32_t length, end, padding;
    section *place;
    if (size - at < SECTION_BYTES) return TERNC_E_SECTION;
    length = word_at(head, 1);
    if (length > size - at - SECTION_BYTES) return TERNC_E_SECTION;
    place = known(all, word_at(head, 0));
    if (place == NULL) {
      /* NAME is the only other section of this version, and nothing here needs it. */
      if ((word_at(head, 2) & REQUIRED) != 0) return TERNC_E_SECTION;
    } else {
      if (place->data != NULL) return TERNC_E_SECTION; /* twice */
      place->data = head + SECTION_BYTES;
      place->size = length;
      place->count = word_at(head, 3);
    }
    end = at + SECTION_BYTES + length;
    padding = (0u - end) % 16u;
    at = padding > size - end ? size : end + padding;
  }
  if (all->ops.data == NULL || all->tensors.data == NULL || all->io.data == NULL ||
      all->code.data == NULL || all->strings.data == NULL) {
    return TERNC_E_SECTION;
  }
  if (!counts(&all->ops, OPS_BYTES) || !counts(&all->tensors, TENSOR_BYTES) ||
      !counts(&all->io, IO_BYTES) || all->code.size % 4 != 0) {
    return TERNC_E_SECTION;
  }
  if (all->strings.size == 0 || all->strings.data[0] != 0 ||
      all->strings.data[all->strings.size - 1] != 0) {
    return TERNC_E_SECTION;
  }
  return TERNC_OK;
}

/* True when this version of ternc has the instruction, whether or not its kernel is linked. */
static int in_instruction_set(uint32_t code, uint32_t revision) {
  static const uint32_t known[][8] = TERNC_KNOWN;
  return code < 256 && revision > 0 && revision <= sizeof known / sizeof known[0] &&
         (known[revision - 1][code / 32] >> code % 32 & 1u) != 0;
}

static const ternc_kernel *find(const ternc_model *model, uint32_t code) {
  uint32_t i;
  for (i = 0; i < model->n_kernels; i++) {
    if (model->kernels[i]->code == code) return model->kernels[i];
  }
  return NULL;
}

static ternc_status check_ops(ternc_model *model, const section *ops) {
  uint32_t i;
  for (i = 0; i < ops->count; i++) {
    const uint32_t word = word_at(ops->data, i), code = word & 0xffffu, revision = word >> 16;
    const ternc_kernel *kernel = find(model, code);
    if (kernel != NULL && kernel->revision == revision) continue;
    model->failed_code = code;
    return kernel == NULL && in_instruction_set(code, revision) ? TERNC_E_KERNEL : TERNC_E_OPCODE;
  }
  return TERNC_OK;
}

static ternc_status check_tensors(const ternc_model *model, const size_t needs[TERNC_REGIONS]) {
  const ternc_op op = {model, NULL};
  uint32_t i;
  for (i = 0; i < model->n_tensors; i++) {
    const ternc_tensor_record *record = ternc_record(&op, i);
    const uint32_t element = ternc_element_size(record->dtype);
    size_t limit;
    if (element == 0 || record->region > TERNC_CONSTANTS) return TERNC_E_SECTION;
    limit = record->region == TERNC_CONSTANTS ? model->constants_size : needs[record->region];
    if (record->offset % element != 0 || record->size % element != 0) return TERNC_E_SECTION;
    /* An empty tensor could sit in a region that is not there, and have no address. */
    if (record->size == 0) return TERNC_E_SECTION;
    if (record->offset > limit || record->size > limit - record->offset) return TERNC_E_SECTION;
  }
  return TERNC_OK;
}

/* True for a scale that quantizing may divide by: 0 (none) or positive, finite and not tiny. */
static int usable_scale(uint32_t bits) {
  return bits == 0 || (bits >= 0x00800000u && bits < 0x7f800000u);
}

static ternc_status check_io(ternc_model *model) {
  const ternc_op op = {model, NULL};
  uint32_t i, d;
  for (i = 0; i < model->n_io; i++) {
    const uint8_t *io = model->io + (size_t)i * IO_BYTES;
    const uint32_t kind = word_at(io, IO_KIND), rank = word_at(io, IO_RANK);
    const ternc_tensor_record *record;
    uint32_t count, elements = 1;
    if (kind > 1 || word_at(io, IO_TENSOR) >= model->n_tensors) return TERNC_E_SECTION;
    if (kind == 0 && model->n_inputs != i) return TERNC_E_SECTION; /* inputs come first */
    if (kind == 0) model->n_inputs++;
    record = ternc_record(&op, word_at(io, IO_TENSOR));
    if (kind == 0 && record->region == TERNC_CONSTANTS) return TERNC_E_SECTION;
    if (word_at(io, IO_NAME) >= model->strings_size) return TERNC_E_SECTION;
    if (rank > TERNC_MAX_RANK || !usable_scale(word_at(io, IO_SCALE))) return TERNC_E_SECTION;
    count = record->size / ternc_element_size(record->dtype);
    for (d = 0; d < rank; d++) {
      const uint32_t dim = word_at(io, IO_DIMS + d);
      if (dim > INT32_MAX || (dim != 0 && elements > UINT32_MAX / dim)) return TERNC_E_SECTION;
      elements *= dim;
    }
    if (elements != count) return TERNC_E_SECTION;
  }
  return TERNC_OK;
}

static int listed(const section *ops, uint32_t code) {
  uint32_t i;
  for (i = 0; i < ops->count; i++) {
    if ((word_at(ops->data, i) & 0xffffu) == code) return 1;
  }
  return 0;
}

/* One tensor operand against its letter in `kinds` (isa.py, class Kind). */
static int operand_fits(const ternc_op *op, char kind, uint32_t tensor) {
  uint32_t region;
  if (kind == 'u' || kind == 'j' || kind == 'f') return 1;
  if (kind >= 'A' && kind <= 'Z') {
    if (tensor == TERNC_NONE) return 1;
    kind = (char)(kind - 'A' + 'a');
  }
  if (tensor >= op->model->n_tensors) return 0;
  region = ternc_record(op, tensor)->region;
  if (kind == 'c') return region == TERNC_CONSTANTS;
  return kind == 'i' || region != TERNC_CONSTANTS;
}

static ternc_status check_code(ternc_model *model, const section *ops, uint32_t words) {
  const uint32_t *word = (const uint32_t *)(const void *)model->code;
  uint32_t i, k;
  for (i = 0; i < model->n_instructions; i++) {
    const ternc_kernel *kernel;
    ternc_status status;
    ternc_op op;
    if (words == 0) return TERNC_E_SECTION;
    model->failed_code = word[0] & 0xffffu;
    kernel = find(model, model->failed_code);
    if (kernel == NULL || !listed(ops, kernel->code)) return TERNC_E_OPCODE;
    if (word[0] >> 16 != kernel->words || words - 1 < kernel->words) return TERNC_E_OPERAND;
    op.model = model;
    op.args = word + 1;
    for (k = 0; k < kernel->words; k++) {
      if (!operand_fits(&op, kernel->kinds[k], word[1 + k])) return TERNC_E_OPERAND;
    }
    status = kernel->check(&op);
    if (status != TERNC_OK) return status;
    word += 1 + kernel->words;
    words -= 1u + kernel->words;
  }
  model->failed_code = 0;
  return words == 0 ? TERNC_OK : TERNC_E_SECTION;
}

static ternc_status bind_regions(ternc_model *model, const size_t needs[TERNC_REGIONS],
                                 const ternc_region *regions) {
  size_t i;
  for (i = 0; i < TERNC_REGIONS; i++) {
    model->regions[i] = (uint8_t *)regions[i].data;
    if (needs[i] == 0) continue;
    if (regions[i].data == NULL || regions[i].size < needs[i]) return TERNC_E_REGION;
    if ((uintptr_t)regions[i].data % TERNC_ALIGNMENT != 0) return TERNC_E_ALIGNMENT;
  }
  return TERNC_OK;
}

TERNC_COLD static ternc_status verify(ternc_model *model, const uint8_t *blob, size_t size,
                           const ternc_region *regions) {
  size_t needs[TERNC_REGIONS];
  uint32_t bytes;
  sections all;
  ternc_status status = ternc_needs(blob, size, needs);
  if (status != TERNC_OK) return status;
  bytes = word_at(blob, 2);
  if (crc32(blob + 16, bytes - 16) != word_at(blob, 3)) return TERNC_E_CRC;
  status = walk(blob, bytes, &all);
  if (status != TERNC_OK) return status;
  model->blob = blob;
  model->tensors = all.tensors.data;
  model->n_tensors = all.tensors.count;
  model->io = all.io.data;
  model->n_io = all.io.count;
  model->code = all.code.data;
  model->n_instructions = all.code.count;
  model->strings = (const char *)all.strings.data;
  model->strings_size = all.strings.size;
  model->constants = all.data.data;
  model->constants_size = all.data.size;
  status = check_ops(model, &all.ops);
  if (status == TERNC_OK) status = bind_regions(model, needs, regions);
  if (status == TERNC_OK) status = check_tensors(model, needs);
  if (status == TERNC_OK) status = check_io(model);
  if (status == TERNC_OK) status = check_code(model, &all.ops, all.code.size / 4);
  return status;
}

TERNC_COLD ternc_status ternc_load(ternc_model *model, const void *blob, size_t size,
                        const ternc_kernel *const *kernels, size_t n_kernels,
                        const ternc_region *regions) {
  ternc_status status;
  uint32_t code;
  size_t i;
  if (model == NULL) return TERNC_E_ARGUMENT;
  memset(model, 0, sizeof *model);
  if (blob == NULL || regions == NULL || (kernels == NULL && n_kernels != 0) ||
      n_kernels > UINT16_MAX) {
    return TERNC_E_ARGUMENT;
  }
  for (i = 0; i < n_kernels; i++) {
    if (kernels[i] == NULL) return TERNC_E_ARGUMENT;
  }
  model->kernels = kernels;
  model->n_kernels = (uint32_t)n_kernels;
  status = verify(model, (const uint8_t *)blob, size, regions);
  if (status == TERNC_OK) return ternc_reset(model);
  /* A model that failed to load must not look loaded to the other functions. */
  code = model->failed_code;
  memset(model, 0, sizeof *model);
  model->failed_code = code;
  return status;
}

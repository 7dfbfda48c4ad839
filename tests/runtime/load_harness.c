/* Loads blobs given on stdin, each in memory of exactly its size, so that a sanitizer sees every
 * byte read or written too far. Request: u32 size, u32 omit (opcode left out of the table), u32
 * flags, blob. Answer: i32 load, u32 failed_code, i32 run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ternc_kernel.h"

enum { SMALL_REGION = 1, SHIFT_BLOB = 2, SHIFT_REGION = 4, SHORT_SIZE = 8, NO_REGION = 16 };
enum { NOT_RUN = 1, TOO_LARGE = 2, MOST = 1 << 22 };

/* `size` bytes that end where the allocation ends, on a 16-byte boundary. */
static uint8_t *exact(size_t size, uint8_t **memory) {
  uint8_t *block = (uint8_t *)malloc(size + 16);
  uint8_t *start = block + (16 - (uintptr_t)block % 16) % 16;
  uint8_t *trimmed;
  if (block == NULL) abort();
  if (start == block) {
    trimmed = (uint8_t *)realloc(block, size > 0 ? size : 1);
    if (trimmed == NULL || (uintptr_t)trimmed % 16 != 0) abort();
    block = start = trimmed;
  }
  *memory = block;
  return start;
}

static void answer(int32_t load, uint32_t code, int32_t run) {
  int32_t words[3];
  words[0] = load;
  words[1] = (int32_t)code;
  words[2] = run;
  if (fwrite(words, sizeof words, 1, stdout) != 1 || fflush(stdout) != 0) exit(1);
}

static void one(const uint8_t *bytes, uint32_t size, uint32_t omit, uint32_t flags) {
  const ternc_kernel *table[256];
  ternc_region regions[TERNC_REGIONS];
  size_t needs[TERNC_REGIONS] = {0, 0, 0}, count = 0, i;
  uint8_t *memory[1 + TERNC_REGIONS] = {NULL, NULL, NULL, NULL};
  const uint32_t shift = (flags & SHIFT_BLOB) != 0 ? 4 : 0;
  uint8_t *blob = exact(size + shift, &memory[0]) + shift;
  uint8_t *copy = (uint8_t *)malloc(size + 1u);
  ternc_model model;
  ternc_status status;
  int32_t ran = NOT_RUN;
  int large = 0;
  memcpy(blob, bytes, size);
  memcpy(copy, bytes, size);
  for (i = 0; i < ternc_kernels_all_count; i++) {
    if (ternc_kernels_all[i]->code != omit) table[count++] = ternc_kernels_all[i];
  }
  status = ternc_needs(blob, size, needs);
  for (i = 0; status == TERNC_OK && i < TERNC_REGIONS; i++) large |= needs[i] > MOST;
  if (large) {
    answer(TOO_LARGE, 0, NOT_RUN);
  } else {
    for (i = 0; i < TERNC_REGIONS; i++) {
      size_t given = needs[i];
      if ((flags & SMALL_REGION) != 0 && given > 0) given--;
      regions[i].data = exact(given + 4, &memory[1 + i]) + ((flags & SHIFT_REGION) != 0 ? 4 : 0);
      regions[i].size = given;
      memset(regions[i].data, 0x11, given);
      if (needs[i] == 0 || (flags & NO_REGION) != 0) regions[i].data = NULL;
    }
    status = ternc_load(&model, blob, (flags & SHORT_SIZE) != 0 ? size - 1 : size, table, count,
                        regions);
    if (status == TERNC_OK) {
      for (i = 0; i < needs[1]; i++) {
        if (((uint8_t *)regions[1].data)[i] != 0) abort(); /* load resets the state */
      }
      for (i = 0; i < ternc_input_count(&model); i++) {
        ternc_tensor tensor;
        if (ternc_input(&model, (uint32_t)i, &tensor) != TERNC_OK) abort();
        if (memchr(tensor.name, 0, MOST) == NULL) abort();
        memset(tensor.data, 0x55, tensor.size);
      }
      ran = ternc_run(&model);
      for (i = 0; i < ternc_output_count(&model); i++) {
        ternc_tensor tensor;
        volatile uint8_t last;
        if (ternc_output(&model, (uint32_t)i, &tensor) != TERNC_OK) abort();
        last = ((const uint8_t *)tensor.data)[tensor.size - 1];
        (void)last;
      }
    } else if (ternc_run(&model) != TERNC_E_ARGUMENT || ternc_input_count(&model) != 0) {
      abort(); /* a model that did not load must not run */
    }
    if (memcmp(blob, copy, size) != 0) abort();
    answer(status, model.failed_code, ran);
  }
  free(copy);
  for (i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

int main(void) {
  uint32_t head[3];
  while (fread(head, sizeof head, 1, stdin) == 1) {
    uint8_t *bytes = (uint8_t *)malloc(head[0] + 1u);
    if (bytes == NULL || fread(bytes, 1, head[0], stdin) != head[0]) return 1;
    one(bytes, head[0], head[1], head[2]);
    free(bytes);
  }
  return 0;
}

/* Runs the model once; prints how far the cycle counter went, and the outputs in hexadecimal. */
#include "model.h"
#include "input.h"

static uint8_t arena[MODEL_ARENA_BYTES] TERNC_ALIGNED;
static ternc_model model;

static uint32_t now(void) {
  uint32_t n;
  __asm__ volatile("rsr %0, ccount" : "=r"(n));
  return n;
}

static void put(const char *text, int size) {
  register int a2 __asm__("a2") = 4; /* write(1, text, size) */
  register int a3 __asm__("a3") = 1;
  register const char *a4 __asm__("a4") = text;
  register int a5 __asm__("a5") = size;
  __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

static void put_hex(uint32_t value, int digits) {
  char text[8];
  int i;
  for (i = digits - 1; i >= 0; i--, value >>= 4) text[i] = "0123456789abcdef"[value & 15u];
  put(text, digits);
}

int main(void) {
  const uint8_t *from = bytes;
  ternc_tensor t;
  uint32_t i, j, begin;
  if (model_load(&model, arena, sizeof arena) != TERNC_OK) return 1;
  for (i = 0; i < ternc_input_count(&model); i++) {
    ternc_input(&model, i, &t);
    for (j = 0; j < t.size; j++) ((uint8_t *)t.data)[j] = *from++;
  }
  begin = now();
  if (ternc_run(&model) != TERNC_OK) return 2;
  put_hex(now() - begin, 8);
  put("\n", 1);
  for (i = 0; i < ternc_output_count(&model); i++) {
    ternc_output(&model, i, &t);
    for (j = 0; j < t.size; j++) put_hex(((const uint8_t *)t.data)[j], 2);
    put("\n", 1);
  }
  return 0;
}

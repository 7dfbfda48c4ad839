/* What the compiler calls and this toolchain does not bring (on a chip it is in ROM). */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n) {
  uint8_t *t = (uint8_t *)to;
  const uint8_t *f = (const uint8_t *)from;
  while (n-- > 0) *t++ = *f++;
  return to;
}

void *memset(void *to, int value, size_t n) {
  uint8_t *t = (uint8_t *)to;
  while (n-- > 0) *t++ = (uint8_t)value;
  return to;
}

uint32_t __udivsi3(uint32_t n, uint32_t d) {
  uint32_t quotient = 0, rest = 0;
  int i;
  for (i = 31; i >= 0; i--) {
    rest = rest << 1 | (n >> i & 1u);
    if (rest >= d) {
      rest -= d;
      quotient |= 1u << i;
    }
  }
  return quotient;
}

uint32_t __umodsi3(uint32_t n, uint32_t d) { return n - __udivsi3(n, d) * d; }

int32_t __divsi3(int32_t n, int32_t d) {
  const uint32_t q = __udivsi3(n < 0 ? 0u - (uint32_t)n : (uint32_t)n,
                               d < 0 ? 0u - (uint32_t)d : (uint32_t)d);
  return (int32_t)((n < 0) != (d < 0) ? 0u - q : q);
}

uint64_t __umulsidi3(uint32_t a, uint32_t b) { return (uint64_t)a * b; }

"""The host's dot products, many bytes at a time, against plain loops: bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native_programs import run_arm, run_here
from tests.runtime.harness import SOURCES

# Prints how many elements the forms took; every value of a byte occurs, and its extremes alone.
_MAIN = """
#include <stdio.h>
#include "kernels/dot_simd.h"
#ifndef TERNC_DOT_SIMD
#define ternc_simd_t2(x, w, n, sum) ((size_t)0)
#define ternc_simd_i8(x, w, n, sum) ((size_t)0)
#define ternc_simd_four(x, z, w, n, sums) ((size_t)0)
#endif
#define MOST 700
static int8_t x[MOST + 8], z[MOST + 8], w[4 * MOST + 8];
static uint8_t t[MOST / 4 + 8];
static unsigned seed = 1;
static unsigned next(void) { return (seed = seed * 1664525u + 1013904223u) >> 16; }
static void fill(int8_t *to, int count, unsigned kind) {
  for (; count > 0; count--) {
    const int value = kind == 0 ? -128 : kind == 1 ? 127 : (int)(next() & 255u) - 128;
    *to++ = (int8_t)value;
  }
}
static int weight(size_t i) {
  const int codes = t[i / 4] >> (6 - 2 * (i % 4));
  return (codes & 1) - (codes >> 1 & 1);
}
int main(void) {
  size_t n, i, taken[3] = {0, 0, 0};
  unsigned kind;
  for (n = 0; n <= MOST; n += n < 150 ? 1 : 61) {
    for (kind = 0; kind < 9; kind++) {
      const size_t at = next() % 8; /* no form may need aligned data */
      uint32_t sum = 7, wanted = 7, sums[8], wanted_sums[8] = {0};
      size_t row, o, got;
      fill(x, MOST + 8, kind % 3);
      fill(z, MOST + 8, kind / 3);
      fill(w, 4 * MOST + 8, kind / 3);
      for (i = 0; i < MOST / 4 + 8; i++) {
        static const unsigned codes[3] = {0, 1, 2};
        unsigned byte = 0, k;
        for (k = 0; k < 4; k++) {
          byte = byte << 2 | (kind / 3 < 2 ? 1 + kind / 3 : codes[next() % 3]);
        }
        t[i] = (uint8_t)byte;
      }
      taken[0] += got = ternc_simd_t2(x + at, t, n, &sum);
      for (i = 0; i < got; i++) wanted += (uint32_t)(x[at + i] * weight(i));
      if (got > n || sum != wanted) return printf("ternary, n = %zu\\n", n), 1;
      sum = wanted = 7;
      taken[1] += got = ternc_simd_i8(x + at, w + at, n, &sum);
      for (i = 0; i < got; i++) wanted += (uint32_t)(x[at + i] * w[at + i]);
      if (got > n || sum != wanted) return printf("int8, n = %zu\\n", n), 1;
      for (row = 1; row <= 2; row++) {
        taken[2] += got = ternc_simd_four(x + at, row == 2 ? z + at : NULL, w + at, n, sums);
        for (o = 0; o < 4; o++) {
          wanted_sums[row * o] = wanted_sums[row * o + row - 1] = 0;
          for (i = 0; i < got; i++) {
            wanted_sums[row * o] += (uint32_t)(x[at + i] * w[at + 4 * i + o]);
            if (row == 2) wanted_sums[2 * o + 1] += (uint32_t)(z[at + i] * w[at + 4 * i + o]);
          }
        }
        for (o = 0; got != 0 && o < 4 * row; o++) {
          if (got > n || sums[o] != wanted_sums[o]) return printf("four, n = %zu\\n", n), 1;
        }
      }
    }
  }
  printf("%d %d %d\\n", taken[0] != 0, taken[1] != 0, taken[2] != 0);
  return 0;
}
"""


def test_this_machine(tmp_path: Path) -> None:
    assert run_here(tmp_path, _MAIN, SOURCES) in ("0 0 0\n", "1 1 1\n")


@pytest.mark.slow
def test_arm(tmp_path: Path) -> None:
    assert run_arm(tmp_path, _MAIN, SOURCES) == "1 1 1\n"

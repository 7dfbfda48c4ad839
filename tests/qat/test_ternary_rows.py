"""The rows of deployed ternary layers, in this machine's form and in 64-bit Arm's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native_programs import run_arm, run_here

ROOT = Path(__file__).resolve().parents[2]
_MAIN = """
#include <math.h>
#include <stdio.h>
#include "_ternary_rows.h"
int main(void) {
  static uint8_t row[300];
  static float x[4 * 1100];
  unsigned seed = 1, columns;
  int count, i;
  float worst = 0;
  for (columns = 1; columns < 1100; columns += columns < 70 ? 1 : 97) {
    for (count = 1; count <= 4; count++) {
      float fast[4], plain[4];
      for (i = 0; i < 300; i++) {
        static const uint8_t codes[3] = {0, 1, 2};
        int k;
        row[i] = 0;
        for (k = 0; k < 4; k++) {
          seed = seed * 1664525u + 1013904223u;
          row[i] = (uint8_t)(row[i] << 2 | codes[(seed >> 16) % 3]);
        }
      }
      for (i = 0; i < 4 * 1100; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)seed / 2147483648.0f;
      }
      fastest_row()(row, x, columns, count, fast);
      row_portable(row, x, columns, count, plain);
      for (i = 0; i < count; i++) worst = fmaxf(worst, fabsf(fast[i] - plain[i]));
    }
  }
  printf("%s %g\\n", fastest_row() == row_portable ? "portable" : "own", (double)worst);
  return worst < 1e-4f ? 0 : 1;
}
"""


def test_this_machine(tmp_path: Path) -> None:
    run_here(tmp_path, _MAIN, ROOT / "ternc")


@pytest.mark.slow
def test_arm(tmp_path: Path) -> None:
    assert run_arm(tmp_path, _MAIN, ROOT / "ternc").startswith("own ")

"""The rows of deployed ternary layers, in this machine's form and in 64-bit Arm's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

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


def _build(folder: Path, command: list[str]) -> Path:
    source, program = folder / "main.c", folder / "main"
    source.write_text(_MAIN, encoding="utf-8")
    subprocess.run([*command, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT / 'ternc'}", str(source), "-o", str(program), "-lm"], check=True)
    return program


def test_this_machine(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    done = subprocess.run([str(_build(tmp_path, [compiler]))], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_arm(tmp_path: Path) -> None:
    """NEON: cross-compiled by zig (the emulator extra), run where there is an emulator."""
    ziglang = pytest.importorskip("ziglang")
    zig = Path(ziglang.__file__).with_name("zig")
    program = _build(tmp_path, [str(zig), "cc", "-target", "aarch64-linux-musl", "-static"])
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("compiled; needs qemu-aarch64 to run (Debian: qemu-user)")
    done = subprocess.run([emulator, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("own ")

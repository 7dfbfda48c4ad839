"""The elementary functions of float32 mode beside picolibc's: instructions for each call.

    python -m tests.benchmarks.elementary [--json]

Needs riscv64-unknown-elf-gcc with picolibc and qemu-system-riscv32 (`emulate.PACKAGES`). Counted
with -icount shift=0 over arguments between -8 and 8 (log, sqrt: up to 16), for RV32IMC (software
floating point) and RV32IMAFC. The runtime brings its own because two C libraries give two results,
and not to be faster; their stated bounds are checked in tests/runtime/test_math.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.count_kernels import ARCHITECTURES
from tests.benchmarks.emulate import COMPILER, EMULATOR, SOURCES, missing_tools

# Ours, what the C library computes with, and the smallest argument.
FUNCTIONS = {
    "exp": ("ternc_expf(x)", "expf(x)", -8), "log": ("ternc_logf(x)", "logf(x)", 0),
    "tanh": ("ternc_tanhf(x)", "tanhf(x)", -8),
    "sigmoid": ("ternc_sigmoidf(x)", "1.0f / (1.0f + expf(-x))", -8),
    "erf": ("ternc_erff(x)", "erff(x)", -8), "sqrt": ("ternc_sqrtf(x)", "sqrtf(x)", 0),
}  # fmt: skip
COUNT = 256  # arguments

_MAIN = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include "ternc_math.h"
enum { COUNT = %(count)d };
static float from[COUNT];
static volatile float to[COUNT];
static uint32_t now(void) { uint32_t n; __asm__ volatile("rdinstret %%0" : "=r"(n)); return n; }
#define RUN(name, call)                                                        \\
  static uint32_t __attribute__((noinline)) name(void) {                       \\
    const uint32_t begin = now();                                              \\
    int i;                                                                     \\
    for (i = 0; i < COUNT; i++) {                                              \\
      const float x = from[i];                                                 \\
      to[i] = call;                                                            \\
    }                                                                          \\
    return now() - begin;                                                      \\
  }
RUN(nothing, x)
%(functions)s
int main(void) {
  uint32_t least;
  int i;
%(calls)s
  return 0;
}
"""
_CALL = """\
  for (i = 0; i < COUNT; i++) from[i] = %(low)d + 16 * (i + 0.5f) / COUNT;
  least = nothing();
  printf("%(name)s %%u %%u\\n", (unsigned)(ours_%(name)s() - least),
         (unsigned)(theirs_%(name)s() - least));
"""


def count(architecture: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """Instructions of one call, ours and the C library's, by function."""
    functions = "\n".join(f"RUN(ours_{name}, {ours})\nRUN(theirs_{name}, {theirs})"
                          for name, (ours, theirs, _) in FUNCTIONS.items())
    calls = "".join(_CALL % {"name": name, "low": low} for name, (_, _, low) in FUNCTIONS.items())
    march, mabi = architecture
    memory = ["flash=0x80000000", "flash_size=4M", "ram=0x80400000", "ram_size=4M"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "main.c", Path(folder) / "main.elf"
        source.write_text(
            _MAIN % {"count": COUNT, "functions": functions, "calls": calls}, encoding="utf-8")
        subprocess.run([
            COMPILER, "--specs=picolibc.specs", f"-march={march}", f"-mabi={mabi}", "-O2",
            "-ffp-contract=off", "--oslib=semihost", "--crt0=hosted", f"-I{SOURCES}",
            *(f"-Wl,--defsym=__{item}" for item in memory), str(source),
            str(SOURCES / "ternc_math.c"), "-lm", "-o", str(program),
        ], check=True)  # fmt: skip
        done = subprocess.run([
            EMULATOR, "-M", "virt", "-bios", "none", "-nographic", "-icount", "shift=0",
            "-semihosting-config", "enable=on,target=native", "-kernel", str(program),
        ], check=True, capture_output=True, text=True, timeout=300)  # fmt: skip
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {name: (int(ours) // COUNT, int(theirs) // COUNT) for name, ours, theirs in lines}


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if missing := missing_tools():
        print(missing, file=sys.stderr)
        return 2
    found = {march: count((march, mabi)) for march, mabi in ARCHITECTURES.values()}
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for march, rows in found.items():
        print(f"{march:12}{'ours':>8}{'picolibc':>10}")
        for name, (ours, theirs) in rows.items():
            print(f"  {name:10}{ours:>8,}{theirs:>10,}  {ours / theirs:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

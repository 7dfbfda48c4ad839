"""Builds a compiled model for RV32IMC, runs it in QEMU, and counts its machine instructions.

With `-icount shift=0` the `rdinstret` counter of QEMU is exact. Figures are instructions, not
cycles. The outputs must equal the host runtime's, byte for byte.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ternc.compiled import CompiledModel

SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"
PACKAGES = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
COMPILER, EMULATOR = "riscv64-unknown-elf-gcc", "qemu-system-riscv32"
FLAGS = ("--specs=picolibc.specs", "-march=rv32imc", "-mabi=ilp32", "-O2", "-ffp-contract=off",
         "-ffunction-sections", "-fdata-sections")  # fmt: skip
_MEMORY = ("flash=0x80000000", "flash_size=4M", "ram=0x80400000", "ram_size=4M")

_MAIN = """\
#include <stdio.h>
#include <string.h>
#include "model.h"
#include "input.h"
enum { STEPS = %(steps)d, PAINTED = 16384 };
static uint8_t arena[MODEL_ARENA_BYTES] TERNC_ALIGNED;
static ternc_model model;
static uint32_t marks[STEPS + 1], step;
static uint32_t now(void) { uint32_t n; __asm__ volatile("rdinstret %%0" : "=r"(n)); return n; }
static int mark(void *user, uint32_t instruction, uint32_t opcode) {
  (void)user; (void)instruction; (void)opcode;
  marks[step++] = now();
  return 0;
}
static void feed(void) {
  const uint8_t *from = bytes;
  ternc_tensor t;
  uint32_t i;
  for (i = 0; i < ternc_input_count(&model); i++) {
    ternc_input(&model, i, &t);
    memcpy(t.data, from, t.size);
    from += t.size;
  }
}
static uint32_t __attribute__((noinline)) depth(int paint) {
  volatile uint8_t low[PAINTED];
  uint32_t i = 0;
  if (paint) for (; i < PAINTED; i++) low[i] = 0xa5;
  else while (i < PAINTED && low[i] == 0xa5) i++;
  return PAINTED - i;
}
static uint32_t __attribute__((noinline)) whole(void) {
  const uint32_t begin = now();
  if (ternc_run(&model) != TERNC_OK) printf("error run\\n");
  return now() - begin;
}
int main(void) {
  uint32_t plain, observed, i, j;
  const ternc_status status = model_load(&model, arena, sizeof arena);
  if (status != TERNC_OK) { printf("error load %%d\\n", (int)status); return 1; }
  feed();
  depth(1);
  plain = whole();
  printf("total %%u\\nstack %%u\\n", (unsigned)plain, (unsigned)depth(0));
  feed();
  observed = now();
  ternc_run_with(&model, mark, NULL);
  observed = now() - observed - plain;
  for (i = 0; i < STEPS; i++)
    printf("step %%u\\n", (unsigned)(marks[i + 1] - marks[i] - observed / (STEPS + 1)));
  for (i = 0; i < ternc_output_count(&model); i++) {
    ternc_tensor t;
    ternc_output(&model, i, &t);
    printf("output ");
    for (j = 0; j < t.size; j++) printf("%%02x", ((const uint8_t *)t.data)[j]);
    printf("\\n");
  }
  return 0;
}
"""


@dataclass(frozen=True, slots=True)
class Count:
    """What one run of a model took."""

    instructions: int
    steps: tuple[int, ...]
    stack_bytes: int
    kernel_bytes: int  # code and read-only data of the runtime that was linked


def missing_tools() -> str:
    """What to install, or the empty string."""
    gone = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    return f"needs {', '.join(gone)} (Debian: {PACKAGES})" if gone else ""


def build_runtime(folder: Path) -> Path:
    """The runtime as a static library, built once for all models."""
    library = folder / "libternc.a"
    if library.exists():
        return library
    makefile = folder / "Makefile"
    sources = [*sorted(SOURCES.glob("*.c")), *sorted((SOURCES / "kernels").glob("*.c"))]
    objects = " ".join(f"{source.stem}.o" for source in sources)
    rules = "".join(
        f"{source.stem}.o: {source}\n\t{COMPILER} {' '.join(FLAGS)} -std=c99 -c $< -o $@\n"
        for source in sources
    )
    makefile.write_text(
        f"libternc.a: {objects}\n\triscv64-unknown-elf-ar rcs $@ $^\n{rules}", encoding="utf-8"
    )
    subprocess.run(["make", "-s", "-j2", "-C", str(folder), "libternc.a"], check=True)
    return library


def count(compiled: CompiledModel, folder: Path, seed: int = 7) -> Count:
    """Runs the model once on random bytes; raises AssertionError where the outputs differ."""
    library = build_runtime(folder)
    compiled.name = "model"
    (folder / "model.h").write_text(compiled.header(), encoding="utf-8")
    rng = np.random.default_rng(seed)
    feeds = [
        rng.integers(0, 256, port.tensor.nbytes, np.uint8) for port in compiled.program.inputs
    ]
    values = ",".join(str(b) for b in np.concatenate(feeds))
    (folder / "input.h").write_text(f"static const uint8_t bytes[] = {{{values}}};\n", "utf-8")
    main, program = folder / "main.c", folder / "model.elf"
    main.write_text(_MAIN % {"steps": len(compiled.program.instructions)}, encoding="utf-8")
    subprocess.run([
        COMPILER, *FLAGS, "-Wl,--gc-sections", "--oslib=semihost", "--crt0=hosted",
        *(f"-Wl,--defsym=__{item}" for item in _MEMORY), f"-I{SOURCES}", f"-I{folder}",
        str(main), str(library), f"-Wl,-Map={folder / 'model.map'}", "-o", str(program),
    ], check=True)  # fmt: skip
    done = subprocess.run([
        EMULATOR, "-M", "virt", "-bios", "none", "-nographic", "-icount", "shift=0",
        "-semihosting-config", "enable=on,target=native", "-kernel", str(program),
    ], check=True, capture_output=True, text=True, timeout=600)  # fmt: skip
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    assert not any(line[0] == "error" for line in lines), lines

    def numbers(key: str) -> list[int]:
        return [int(line[1]) for line in lines if line[0] == key]

    outputs = [bytes.fromhex(line[1]) for line in lines if line[0] == "output"]
    engine = compiled.engine
    for i, feed in enumerate(feeds):
        engine.write_input(i, feed.tobytes())
    engine.run()
    for i, output in enumerate(outputs):
        assert output == engine.read_output(i), f"output {i} differs from the host's"
    return Count(
        numbers("total")[0],
        tuple(numbers("step")),
        numbers("stack")[0],
        _linked(folder / "model.map"),
    )


def _linked(path: Path) -> int:
    """Bytes of code and constants that came from the runtime's library."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\n( \.\S+)\n\s+", r"\n\1 ", text[text.index("Linker script and memory map") :])
    pattern = r"^ \.(?:text|rodata|srodata|data|sdata)\S*\s+0x(\w+)\s+0x(\w+) \S*libternc\.a\("
    found = re.findall(pattern, text, re.MULTILINE)
    return sum(int(size, 16) for address, size in found if int(address, 16))

"""The layer table on an emulated Xtensa core, beside RV32IMC's recorded figures.

    python -m tests.benchmarks.xtensa [--only PART] [--json]

Needs xtensa-lx106-elf-gcc and qemu-system-xtensa (`PACKAGES`). The compiler is for the core of the
ESP8266, which has the LX6's and LX7's instructions but for the upper half of a product, sign
extension, zero-overhead loops and register windows: a requantization calls a 64-bit product here
(some 30 instructions) that those cores compute in one or two. Outputs must equal the host's, byte
for byte.

QEMU's cycle counter follows its instruction counter (-icount): with 2^7 ns an instruction at the
emulated core's 40 MHz it advances by 5.12, so that the difference of two readings gives the exact
number of instructions between them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ternc.compiled import CompiledModel
from tests.benchmarks.count import BASELINE, compile_layer
from tests.benchmarks.layers import LAYERS

HERE = Path(__file__).resolve().parent / "lx106"
SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"
PACKAGES = "gcc-xtensa-lx106 qemu-system-misc"
COMPILER, EMULATOR = "xtensa-lx106-elf-gcc", "qemu-system-xtensa"
FLAGS = ("-std=gnu99", "-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns",
         "-mlongcalls", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections")  # fmt: skip
_SHIFT = 7
_TICKS = 0.040 * 2**_SHIFT  # of the counter for an instruction


@dataclass(frozen=True, slots=True)
class Row:
    """One layer on both cores; `riscv` is null where no figure is recorded."""

    name: str
    kernel: str
    instructions: int
    per_mac: float
    riscv: float | None


def missing_tools() -> str:
    """What to install, or the empty string."""
    gone = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    return f"needs {', '.join(gone)} (Debian: {PACKAGES})" if gone else ""


def build_runtime(folder: Path) -> Path:
    """The runtime as a static library, built once for all layers."""
    library = folder / "libternc.a"
    if not library.exists():
        sources = [*SOURCES.glob("*.c"), *(SOURCES / "kernels").glob("*.c")]
        subprocess.run([COMPILER, *FLAGS, "-c", *map(str, sources)], cwd=folder, check=True)
        objects = sorted(map(str, folder.glob("*.o")))
        subprocess.run(["xtensa-lx106-elf-ar", "rcs", str(library), *objects], check=True)
    return library


def count(compiled: CompiledModel, folder: Path, seed: int = 7) -> int:
    """Instructions of one run on random bytes; raises AssertionError where the outputs differ."""
    library = build_runtime(folder)
    compiled.name = "model"
    (folder / "model.h").write_text(compiled.header(), encoding="utf-8")
    rng = np.random.default_rng(seed)
    feeds = [rng.integers(0, 256, port.tensor.nbytes, np.uint8)
             for port in compiled.program.inputs]
    values = ",".join(str(b) for b in np.concatenate(feeds))
    (folder / "input.h").write_text(f"static const uint8_t bytes[] = {{{values}}};\n", "utf-8")
    program = folder / "model.elf"
    subprocess.run([
        COMPILER, *FLAGS, "-nostdlib", "-Wl,--gc-sections", "-T", str(HERE / "link.ld"),
        f"-I{SOURCES}", f"-I{folder}", *(str(HERE / n) for n in ("crt0.S", "main.c", "support.c")),
        str(library), "-lgcc", "-o", str(program),
    ], check=True)  # fmt: skip
    done = subprocess.run([
        EMULATOR, "-M", "sim", "-cpu", "lx106", "-display", "none", "-monitor", "none",
        "-semihosting", "-icount", f"shift={_SHIFT}", "-kernel", str(program),
    ], check=True, capture_output=True, text=True, timeout=300)  # fmt: skip
    ticks, *outputs = done.stdout.split()
    engine = compiled.engine
    for i, feed in enumerate(feeds):
        engine.write_input(i, feed.tobytes())
    engine.run()
    for i, output in enumerate(outputs):
        assert bytes.fromhex(output) == engine.read_output(i), f"output {i} differs"
    instructions: int = round(int(ticks, 16) / _TICKS)
    return instructions


def rows(folder: Path, only: str = "") -> list[Row]:
    """One row per layer whose name contains `only`."""
    recorded = json.loads(BASELINE.read_text(encoding="utf-8"))["layers"]
    out = []
    for layer in LAYERS:
        if only not in layer.name:
            continue
        compiled = compile_layer(layer)
        instructions = count(compiled, folder)
        items = compiled.program.instructions
        out.append(Row(
            layer.name, " ".join(item.opcode.name for item in items), instructions,
            round(instructions / sum(item.macs for item in items), 3),
            recorded.get(layer.name, {}).get("per_mac"),
        ))  # fmt: skip
    return out


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="part of a layer's name")
    options = parser.parse_args(argv)
    if missing := missing_tools():
        print(missing, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        found = rows(Path(name), options.only)
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
        return 0
    print(f"{'layer':38}{'lx106':>12} {'/MAC':>7} {'RV32IMC':>8}  kernel")
    for row in found:
        riscv = "" if row.riscv is None else f"{row.riscv:.3f}"
        print(f"{row.name:38}{row.instructions:>12,} {row.per_mac:7.3f} {riscv:>8}  {row.kernel}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Counts machine instructions as the benchmark tables do: RV32IMC, riscv64-unknown-elf-gcc, QEMU.

Figures are instructions, not cycles. The outputs must equal the host runtime's, byte for byte.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np

from ternc.compiled import CompiledModel
from ternc.emulation import EmulationResult, EmulatorName, emulate_bytes, qemu_core, toolchain

SOURCES = toolchain.runtime_sources()
PACKAGES = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
COMPILER, EMULATOR = "riscv64-unknown-elf-gcc", qemu_core.COMMAND


@dataclass(frozen=True, slots=True)
class Count:
    """What one run of a model took."""

    instructions: int
    steps: tuple[int, ...]
    stack_bytes: int
    kernel_bytes: int  # code and read-only data that was linked, generated code included


def missing_tools() -> str:
    """What to install, or the empty string."""
    gone = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    return f"needs {', '.join(gone)} (Debian: {PACKAGES})" if gone else ""


def run(compiled: CompiledModel, seed: int = 7, *, compiler: str | None = COMPILER,
        emulator: EmulatorName = "qemu") -> EmulationResult:
    """Runs the model once on random bytes; raises AssertionError where the outputs differ."""
    rng = np.random.default_rng(seed)
    feeds = [rng.bytes(port.tensor.nbytes) for port in compiled.program.inputs]
    found = emulate_bytes(compiled, [b"".join(feeds)], "esp32c3", toolchain=compiler,
                          emulator=emulator)
    engine = compiled.engine
    for i, feed in enumerate(feeds):
        engine.write_input(i, feed)
    engine.run()
    for i, output in enumerate(found.outputs[0]):
        assert output == engine.read_output(i), f"output {i} differs from the host's"
    return found


def count(compiled: CompiledModel, seed: int = 7) -> Count:
    """What `run` counts."""
    found = run(compiled, seed)
    return Count(found.instructions, tuple(counts.instructions for _, counts in found.layers),
                 found.stack_bytes, found.flash.kernels)

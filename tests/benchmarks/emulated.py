"""Every model of ../shared/models on an emulated ESP32-C3: its answers, and what it takes.

    python -m tests.benchmarks.emulated [--only NAME] [--toolchain CC] [--emulator qemu]

Each model as it is and, where that is float32, int8 too, calibrated on its samples. "bytes": the
emulated program gives the host's, in every sample. "error": how far a float model's answers are
from onnxruntime's, as a share of the largest value.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.diagnostics import TerncError
from ternc.emulation import EmulationResult, EmulatorName, emulate, host_bytes
from ternc.oracle import Oracle
from ternc.running import from_device
from ternc.validation.evidence import quantized
from tests.shared_models import Feed, feeds, model_id, paths

SAMPLES = 2
LIMIT = 1e-5


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one precision; `error` is None where it is quantized."""

    name: str
    precision: str
    found: EmulationResult
    same_bytes: bool
    error: float | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it answers as it must."""
        return self.same_bytes and (self.error is None or self.error <= LIMIT)


def variants(path: Path) -> Iterator[tuple[str, CompiledModel, list[Feed]]]:
    """(precision, compiled model, samples)."""
    made = compiler.compile(path, "esp32c3", check_fit=False)
    samples, _ = feeds(path, made.source)
    if quantized(made.model):
        yield "int8", made, samples[:SAMPLES]
        return
    yield "float32", made, samples[:SAMPLES]
    data = {name: np.concatenate([np.atleast_1d(feed[name]) for feed in samples])
            for name in samples[0]}
    try:
        yield "int8", compiler.compile(path, "esp32c3", calibration_data=data,
                                       check_fit=False), samples[:SAMPLES]
    except TerncError as error:
        print(f"{model_id(path)}: not int8: {error.diagnostics[0].message}", file=sys.stderr)


def measure(name: str, precision: str, compiled: CompiledModel, samples: list[Feed],
            toolchain: str | None = None, emulator: EmulatorName = "unicorn") -> Row:
    """Runs the model in the emulator, on the host and, in float32, in onnxruntime."""
    begin = time.perf_counter()
    found = emulate(compiled, samples, toolchain=toolchain, emulator=emulator)
    seconds = time.perf_counter() - begin
    same = found.outputs == host_bytes(compiled, samples)
    return Row(name, precision, found, same,
               error_of(compiled, found, samples) if precision == "float32" else None, seconds)


def error_of(compiled: CompiledModel, found: EmulationResult, samples: list[Feed]) -> float:
    """The largest error of an output and sample, as a share of the largest value in it."""
    oracle = Oracle(compiled.model)
    worst = 0.0
    for feed, outputs in zip(samples, found.outputs, strict=True):
        wanted = oracle.run(feed)
        for port, data in zip(compiled.program.outputs, outputs, strict=True):
            right = wanted[port.name].astype(np.float64)
            flat = np.frombuffer(data, port.tensor.dtype.numpy).reshape(port.shape)
            ours = from_device(flat, port).astype(np.float64).reshape(right.shape)
            far = np.abs(ours - right).max(initial=0.0)
            worst = max(worst, float(far / max(np.abs(right).max(initial=0.0), 1e-6)))
    return worst


def show(row: Row) -> str:
    """A line of the table."""
    found = row.found
    macs = found.macs or 0
    each = f"{found.instructions / macs:.2f}" if macs else ""
    error = "" if row.error is None else f"{row.error:.1e}"
    verdict = "equal" if row.same_bytes else "DIFFER"
    return (f"| {row.name} | {row.precision} | {macs:,} | {found.instructions:,} | {each} | "
            f"{found.latency_ms:.1f} | {found.stack_bytes:,} | {found.arena_bytes:,} | "
            f"{found.flash.weights:,} | {found.flash.program:,} | {found.flash.kernels:,} | "
            f"{verdict} | {error} | {row.seconds:.1f} |")


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 1 when a model answers otherwise than it must."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--toolchain")
    parser.add_argument("--emulator", choices=("unicorn", "qemu"), default="unicorn")
    options = parser.parse_args(argv)
    failed, basis = False, ""
    print("| model | precision | MACs | instructions | /MAC | ms (model) | stack B | arena B | "
          "weights B | program B | kernels B | bytes | error | seconds |")
    print("|---|---|" + "---:|" * 9 + "---|---|---:|")
    for path in paths():
        if options.only not in model_id(path):
            continue
        for precision, compiled, samples in variants(path):
            row = measure(model_id(path), precision, compiled, samples, options.toolchain,
                          options.emulator)
            print(show(row), flush=True)
            failed |= not row.passed
            basis = row.found.latency_basis
    print(f"\n{basis}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

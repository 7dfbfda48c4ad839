"""What the compiler estimates of a layer, beside what it takes on emulated RV32IMC.

    python -m tests.benchmarks.estimates [size|default|speed ...]

The layers of tests/benchmarks/layers.py and sizes.py, and those of MLPerf Tiny's networks, int8
as they come and ternarized (tests/benchmarks/ternarized.py), with each optimization that is named
(all but speed when none is). Estimates further off than `OFF` are marked, and fail the command
where a layer takes `SHARE` of its model or more. Needs the tools of tests/benchmarks/emulate.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ternc.backends.esp32.cost import instructions
from ternc.compiled import CompiledModel
from tests.benchmarks import emulate, sizes
from tests.benchmarks.count import MODELS, PEERS, compile_layer, compile_peer
from tests.benchmarks.layers import LAYERS
from tests.benchmarks.ternarized import CASES, compiled_case

OFF = 0.15
SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Row:
    """One layer."""

    model: str
    layer: str
    kernel: str
    estimated: int
    measured: int
    share: float  # of the model's instructions

    @property
    def ratio(self) -> float:
        """Estimated over measured."""
        return self.estimated / self.measured

    @property
    def is_off(self) -> bool:
        """Whether the estimate is further off than it may be."""
        return abs(self.ratio - 1) > OFF and self.share >= SHARE


def rows(name: str, compiled: CompiledModel) -> list[Row]:
    """One row per layer of a program."""
    done = emulate.run(compiled)
    return [
        Row(name, item.layer, item.opcode.name, instructions(item, compiled.target),
            counts.instructions, counts.instructions / done.instructions)
        for item, (_, counts) in zip(compiled.program.instructions, done.layers, strict=True)]


def single_layers() -> Iterator[Row]:
    """Those of the layer table, and those of growing size."""
    for layer in (*LAYERS, *(layer for family in sizes.layers() for layer in family)):
        yield from rows(layer.name, compile_layer(layer))


def network_layers(*optimize: str) -> Iterator[Row]:
    """Those of the networks that are there."""
    for name, (file, *_) in PEERS.items():
        if (MODELS / file).exists():
            yield from rows(f"{name}, int8", compile_peer(name))
    for name, case in CASES.items():
        for level in optimize if (MODELS / f"{case.model}.onnx").exists() else ():
            yield from rows(f"{name}, -O {level}", compiled_case(case, level))


def main(arguments: list[str]) -> int:
    """Prints the table; 1 when an estimate is off."""
    if missing := emulate.missing_tools():
        print(missing, file=sys.stderr)
        return 2
    found = [*single_layers(), *network_layers(*(arguments or ["size", "default"]))]
    print(f"{'model':34}{'kernel':22}{'estimated':>11}{'measured':>11}  est./meas.  layer")
    for row in found:
        print(f"{row.model:34}{row.kernel:22}{row.estimated:>11,}{row.measured:>11,}"
              f"{row.ratio:>10.2f} {'!' if row.is_off else ' '}  {row.layer[-40:]}")
    return int(any(row.is_off for row in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Instructions for a multiply-accumulate against the size of a layer: no cliff on the way.

    python -m tests.benchmarks.sizes [--json]

Ternary dense layers of 64 to 4096 features, 3x3 and pointwise convolutions of 8 to 256 channels,
with the kernels that the compiler chooses (with 40 KB of scratch), on emulated RV32IMC; outputs
equal the host's, byte for byte. Needs the tools of tests/benchmarks/emulate.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from tests.benchmarks import emulate
from tests.benchmarks.count import compile_layer
from tests.benchmarks.layers import Layer

DENSE = ((64, 64), (96, 96), (128, 128), (256, 256), (384, 384), (512, 512), (768, 768),
         (1024, 1024), (2048, 1024), (4096, 256), (256, 4096))  # fmt: skip
CHANNELS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
CLIFF = 1.2  # over the cheapest smaller size


@dataclass(frozen=True, slots=True)
class Row:
    """One layer."""

    name: str
    kernel: str
    per_mac: float
    scratch: int


def layers() -> list[list[Layer]]:
    """Families of layers, each of growing size."""
    dense = [Layer(f"Dense {i}->{o}", (1, i), (o, i), 0, 0) for i, o in DENSE]
    conv = [Layer(f"Conv2D 3x3 {c}->{c} @12x12", (1, c, 12, 12), (c, c, 3, 3), 0, 0, (1, 1, 1, 1))
            for c in CHANNELS]
    pointwise = [Layer(f"Pointwise {c}->{c} @12x12", (1, c, 12, 12), (c, c, 1, 1), 0, 0)
                 for c in CHANNELS]
    return [dense, conv, pointwise]


def rows(family: list[Layer]) -> list[Row]:
    """One row per layer."""
    out = []
    for layer in family:
        compiled = compile_layer(layer)
        items = compiled.program.instructions
        done = emulate.count(compiled)
        out.append(Row(layer.name, " ".join(item.opcode.name for item in items),
                       round(done.instructions / sum(item.macs for item in items), 3),
                       sum(t.nbytes for item in items for t in item.scratch)))
    return out


def cliffs(found: list[Row]) -> list[str]:
    """Sizes that cost much more for a multiply-accumulate than a smaller one of the family."""
    return [f"{row.name}: {row.per_mac} after {best:.3f}"
            for k, row in enumerate(found) if k
            if row.per_mac > CLIFF * (best := min(r.per_mac for r in found[:k]))]


def main(argv: list[str] | None = None) -> int:
    """Prints the table with a bar for each layer; 1 when there is a cliff."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if missing := emulate.missing_tools():
        print(missing, file=sys.stderr)
        return 2
    found = [rows(family) for family in layers()]
    if options.json:
        print(json.dumps([asdict(row) for family in found for row in family], indent=1))
    else:
        for row in (row for family in found for row in family):
            print(f"{row.name:28}{row.per_mac:7.3f} {row.scratch:>7,} B  {row.kernel:20} "
                  f"{'#' * round(20 * row.per_mac)}")
    problems = [problem for family in found for problem in cliffs(family)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

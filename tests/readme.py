"""The tables of README.md that follow from the code and from recorded measurements.

    python -m tests.readme --write

tests/test_readme.py fails when README.md holds something else.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ternc import listing
from ternc.boards import boards as every_board
from ternc.compiler import compile as compile_model
from ternc.report import duration

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MODELS = ROOT / "tests" / "models"
BASELINE = ROOT / "tests" / "benchmarks" / "baseline.json"


def operators() -> str:
    """`ternc ops --markdown`."""
    out = io.StringIO()
    listing.print_operators(out, markdown=True)
    return out.getvalue()


def targets() -> str:
    """The table of `ternc targets --markdown`, without the list of sources."""
    out = io.StringIO()
    listing.print_targets(out, markdown=True)
    return "".join(line for line in out.getvalue().splitlines(True) if line.startswith("|"))


def models() -> str:
    """What the models of tests/models need on an ESP32-C3."""
    lines = ["| model | float32 weights | int8 program | arena | arena's lower bound |",
             "|---|---|---|---|---|"]
    for name, data in (("gesture_cnn", "gesture.npz"), ("shapes_cnn", "shapes.npz")):
        found = compile_model(MODELS / f"{name}.onnx", "esp32c3",
                              calibration_data=MODELS / data).report()
        figures = [f"{found[key]:,} B" for key in (
            "float32_bytes", "flash_bytes", "arena_bytes", "arena_lower_bound_bytes")]
        lines.append(f"| `{name}` | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def boards() -> str:
    """`ternc validate tests/models/shapes_cnn.onnx --target all`, float32 and int8."""
    model, data = MODELS / "shapes_cnn.onnx", MODELS / "shapes.npz"
    lines = ["| board | float32 | float32 latency | int8 | int8 latency |",
             "|---|---|---|---|---|"]
    for floats, integers in zip(every_board(model), every_board(model, calibration_data=data),
                                strict=True):
        cells = [floats.target]
        for board in (floats, integers):
            layers = ", ".join(f"{count} {kind}" for kind, count in board.arithmetic)
            cells += [f"{'fits' if board.fits else 'does not fit'}: {board.arena_bytes:,} B of "
                      f"arena; {layers}", duration(board.milliseconds)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def benchmarks() -> str:
    """The recorded counts of the benchmark models."""
    lines = ["| model | instructions | with clang | arena | weights | program | kernels |",
             "|---|---|---|---|---|---|---|"]
    for name, row in json.loads(BASELINE.read_text(encoding="utf-8"))["models"].items():
        sizes = [f"{row[key]:,} B" for key in ("arena", "weights", "program", "kernels")]
        counts = f"{row['instructions']:,} | {row['clang_instructions']:,}"
        lines.append(f"| {name} | {counts} | {' | '.join(sizes)} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "operators": operators, "targets": targets, "models": models, "benchmarks": benchmarks,
    "boards": boards,
}


def filled(text: str) -> str:
    """README.md with every table as it is now."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        assert text.count(begin) == text.count(end) == 1, name
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        table = make()
        text = re.sub(pattern, lambda _, t=table, b=begin, e=end: b + t + e, text,  # type: ignore[misc]
                      flags=re.DOTALL)
    return text


def main() -> int:
    """Writes README.md, or says whether it is fresh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    old = README.read_text(encoding="utf-8")
    new = filled(old)
    if write:
        README.write_text(new, encoding="utf-8")
        return 0
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())

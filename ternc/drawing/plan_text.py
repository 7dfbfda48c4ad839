"""The memory plan as text: time across, addresses up."""

from __future__ import annotations

from typing import Final

from ternc.drawing.plan import Box, Plan

_WIDTH: Final = 64
_MARKS: Final = {"tensor": "#", "input": "#", "output": "#", "scratch": "+"}


def plan_text(plan: Plan) -> str:
    """A row for each tensor, highest address first, a column for each step or for several."""
    steps = len(plan.layers) + 2  # one before and one after the instructions
    scale = max(1, -(-steps // _WIDTH))
    width = -(-steps // scale)
    several = f", {scale} to a column" if scale > 1 else ""
    lines = [
        f"memory plan: {plan.arena_bytes:,} bytes of scratch, {steps - 2} steps{several}",
        "  # a tensor   > made in the place of an input   + scratch of a kernel",
        f"{'offset':>8} {'bytes':>8}  steps (first column: inputs, last: outputs)",
    ]
    for box in sorted(plan.boxes, key=lambda box: (-box.start, box.first)):
        lines.append(f"{box.start:8} {box.size:8}  {_row(box, scale, width)}  {box.name}")
    column = (plan.peak + 1) // scale
    lines.append(f"{'':17}  {' ' * column}^ peak: {plan.peak_bytes:,} bytes at step {plan.peak} "
                 f"({plan.where(plan.peak)})")
    lines += [f"{'':17}  {box.size:8} {box.name}" for box in plan.at_peak]
    return "\n".join(lines) + "\n"


def _row(box: Box, scale: int, width: int) -> str:
    first, last = (box.first + 1) // scale, (box.last + 1) // scale
    marks = [_MARKS[box.use] if first <= column <= last else "." for column in range(width)]
    if box.in_place:
        marks[first] = ">"
    return "".join(marks)

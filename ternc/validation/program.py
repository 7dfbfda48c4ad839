"""The program as it would be flashed: its bytes, and the memory plan read back from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ternc.backends.esp32.decode import InvalidBlob, decode
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.in_place import in_place
from ternc.backends.esp32.overlap import Overlap, overlap
from ternc.backends.esp32.program import Program, Region, Tensor
from ternc.validation.checks import Check, Verdict

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel

_SHOWN = 5


def program(compiled: CompiledModel) -> list[Check]:
    """Does the runtime accept the bytes, and are no two live tensors in one place."""
    loads = _loads(compiled)
    return [loads] if loads.failed else [loads, _plan(compiled)]


def _loads(compiled: CompiledModel) -> Check:
    try:
        decode(compiled.blob)
        _ = compiled.engine  # verifies offsets, shapes, operands and codes
    except (InvalidBlob, ValueError) as error:
        return Check("program", Verdict.FAILED, f"the runtime refuses it: {error}")
    if encode(compiled.program) != compiled.blob:
        return Check("program", Verdict.FAILED, "its bytes are not those of the lowered program")
    return Check("program", Verdict.PASSED,
                 f"{len(compiled.blob):,} bytes, checksum and every operand verified")


@dataclass(slots=True)
class _Life:
    """A tensor in the arena: its bytes, and the steps in which they must stay as they are."""

    tensor: Tensor
    start: int
    end: int
    first: int
    last: int


def _plan(compiled: CompiledModel) -> Check:
    """Found again from offsets and operands alone, without the planner's own notion of blocks."""
    lives = list(_lives(compiled.program, compiled.blob))
    size = compiled.program.region_bytes[Region.SCRATCH]
    problems = [f"{life.tensor.name} ends at {life.end}, behind the arena's {size} bytes"
                for life in lives if life.end > size]
    allowed = {(id(source), id(target), step)
               for step, item in enumerate(compiled.program.instructions)
               for source, target in in_place(item)}
    partly = {(id(over.source), id(over.target), step): over
              for step, item in enumerate(compiled.program.instructions)
              if (over := overlap(item)) is not None}
    ordered = sorted(lives, key=lambda life: life.start)
    for i, one in enumerate(ordered):
        for other in ordered[i + 1:]:
            if other.start >= one.end:
                break
            if not _apart(one, other, allowed, partly):
                problems.append(
                    f"{one.tensor.name} (bytes {one.start} to {one.end}, steps {one.first} to "
                    f"{one.last}) and {other.tensor.name} (bytes {other.start} to {other.end}, "
                    f"steps {other.first} to {other.last}) are in one place")
    if problems:
        return Check("memory plan", Verdict.FAILED, f"{len(problems)} conflicts",
                     float(len(problems)), 0.0, notes=tuple(problems[:_SHOWN]))
    return Check("memory plan", Verdict.PASSED,
                 f"{len(lives)} tensors, none over another that is alive", 0.0, 0.0)


def _apart(one: _Life, other: _Life, allowed: set[tuple[int, int, int]],
           partly: dict[tuple[int, int, int], Overlap]) -> bool:
    """Whether both may share bytes: at different times, or one becoming the other.

    That is in its place, or as far from it as the kernel needs.
    """
    if one.last < other.first or other.last < one.first:
        return True
    before, after = (one, other) if one.first < other.first else (other, one)
    pair = id(before.tensor), id(after.tensor), after.first
    over = partly.get(pair)
    return before.last == after.first and (
        (before.start == after.start and pair in allowed)
        or (over is not None and over.allows(before.start, after.start)))


def _lives(program: Program, blob: bytes) -> Iterator[_Life]:
    records = decode(blob).tensors
    steps: dict[int, tuple[int, int]] = {}
    seen: set[tuple[int, int]] = set()

    def touch(part: Tensor, step: int) -> None:
        tensor = part.root
        first, last = steps.get(id(tensor), (step, step))
        steps[id(tensor)] = min(first, step), max(last, step)

    for port in program.inputs:
        touch(port.tensor, -1)
    for step, item in enumerate(program.instructions):
        for tensor in (*item.reads, *item.writes, *item.scratch):
            touch(tensor, step)
    for port in program.outputs:
        touch(port.tensor, len(program.instructions))
    for tensor, record in zip(program.tensors(), records, strict=True):
        whole, start = tensor.root, record.offset - tensor.start
        if record.region is Region.SCRATCH and record.size and (id(whole), start) not in seen:
            seen.add((id(whole), start))
            yield _Life(whole, start, start + whole.nbytes, *steps[id(whole)])

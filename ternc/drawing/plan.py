"""The memory plan of a program, read back from its blob: what lies where, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ternc.backends.esp32.decode import Blob, InstructionRecord, decode
from ternc.backends.esp32.isa import TENSOR_KINDS, Kind
from ternc.backends.esp32.program import Region

Use = Literal["tensor", "input", "output", "scratch"]


@dataclass(slots=True)
class Box:
    """One tensor in the arena: bytes `start` to `start + size`, steps `first` to `last`.

    Step -1 is before the run (inputs), step n, behind the last instruction, after it (outputs).
    `in_place` says that it took the place of an input of the instruction that made it, `replaced`
    that at its last step such an output took its own.
    """

    name: str
    start: int
    size: int
    first: int
    last: int
    use: Use = "tensor"
    in_place: bool = False
    replaced: bool = False

    def alive(self, step: int) -> bool:
        """Whether it is in use at a step."""
        return self.first <= step <= self.last


@dataclass(frozen=True, slots=True)
class Plan:
    """All boxes, lowest address first, with the layer of each step and the step of the peak."""

    boxes: tuple[Box, ...]
    layers: tuple[str, ...]
    arena_bytes: int
    state_bytes: int
    peak: int
    peak_bytes: int

    @property
    def at_peak(self) -> list[Box]:
        """What is alive at the peak, largest first; of tensors in one place the last."""
        places: dict[int, Box] = {}
        for box in self.boxes:
            if box.alive(self.peak):
                other = places.get(box.start)
                if other is None or box.in_place or box.size > other.size:
                    places[box.start] = box
        return sorted(places.values(), key=lambda box: -box.size)

    def where(self, step: int) -> str:
        """A step in words."""
        if step < 0:
            return "the inputs"
        return self.layers[step] if step < len(self.layers) else "the outputs"


def plan_of(blob: bytes) -> Plan:
    """The plan of a blob; names are there where it has a NAME section."""
    parsed = decode(blob)
    found = _without_views(_boxes(parsed), *_written_and_read(parsed))
    for step, item in enumerate(parsed.instructions):
        _mark_in_place(parsed, item, step, found)
    boxes = sorted(found.values(), key=lambda box: (box.start, box.first))
    count = len(parsed.instructions)
    live = {step: _live_bytes([box for box in boxes if box.alive(step)])
            for step in range(-1, count + 1)}
    peak = max(live, key=lambda step: (live[step], -step))
    return Plan(
        tuple(boxes),
        tuple(item.layer or item.opcode.name for item in parsed.instructions),
        parsed.region_bytes[Region.SCRATCH], parsed.region_bytes[Region.STATE], peak, live[peak])


def _boxes(parsed: Blob) -> dict[int, Box]:
    boxes: dict[int, Box] = {}

    def touch(index: int, step: int, use: Use) -> None:
        record = parsed.tensors[index]
        if record.region is not Region.SCRATCH:
            return
        name = record.name or f"t{index}"
        if use == "scratch":
            item = parsed.instructions[step]
            name = f"scratch of {item.layer or item.opcode.name}"
        box = boxes.setdefault(index, Box(name, record.offset, record.size, step, step, use))
        box.first, box.last = min(box.first, step), max(box.last, step)
        if use != "tensor":
            box.use = use

    for port in parsed.ports:
        touch(port.tensor, len(parsed.instructions) if port.is_output else -1,
              "output" if port.is_output else "input")
    for step, item in enumerate(parsed.instructions):
        for operand, value in zip(item.opcode.operands, item.operands, strict=True):
            if operand.kind in TENSOR_KINDS and value is not None:
                touch(int(value), step, "scratch" if operand.kind is Kind.SCRATCH else "tensor")
    return boxes


def _written_and_read(parsed: Blob) -> tuple[set[int], set[int]]:
    """Tensors that an instruction or the caller writes, and those that one of them reads."""
    written = {port.tensor for port in parsed.ports if not port.is_output}
    read = {port.tensor for port in parsed.ports if port.is_output}
    for item in parsed.instructions:
        for operand, value in zip(item.opcode.operands, item.operands, strict=True):
            if value is not None and operand.kind in TENSOR_KINDS:
                if operand.kind is not Kind.IN:
                    written.add(int(value))
                if operand.kind is not Kind.OUT:
                    read.add(int(value))
    return written, read


def _without_views(boxes: dict[int, Box], written: set[int], read: set[int]) -> dict[int, Box]:
    """The tensors that are whole; each lives as long as views of some of its rows do.

    A view that is written is read as a part of what comes after it, and one that is read was
    written as a part of what came before.
    """
    whole = dict(boxes)
    for index, view in boxes.items():
        around = [(other, box) for other, box in boxes.items()
                  if other != index and box.start <= view.start
                  and view.start + view.size <= box.start + box.size]
        after = [box for other, box in around if other not in written and box.last > view.last]
        before = [box for other, box in around if other in written and box.first < view.first]
        if index not in read and after:
            image = min(after, key=lambda box: box.first)
            image.first = min(image.first, view.first)
            del whole[index]
        elif index not in written and before:
            image = max(before, key=lambda box: box.last)
            image.last = max(image.last, view.last)
            del whole[index]
    return whole


def _mark_in_place(
    parsed: Blob, item: InstructionRecord, step: int, boxes: dict[int, Box]
) -> None:
    names = [operand.name for operand in item.opcode.operands]
    for source, target in item.opcode.aliases:
        one, other = (item.operands[names.index(name)] for name in (source, target))
        if one is None or other is None or int(one) not in boxes or int(other) not in boxes:
            continue
        before, after = boxes[int(one)], boxes[int(other)]
        if before is not after and before.start == after.start and before.last == step:
            after.in_place = before.replaced = True


def _live_bytes(boxes: list[Box]) -> int:
    """Bytes that are taken, those of tensors in one place once."""
    taken, end = 0, 0
    for box in sorted(boxes, key=lambda box: box.start):
        taken += max(0, box.start + box.size - max(end, box.start))
        end = max(end, box.start + box.size)
    return taken

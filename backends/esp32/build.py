"""From the final graph to a placed program: what memory each kernel may take, and -O.

Fast kernels want scratch (tables, packed images). A first lowering shows what is alive at each
layer; a second one, of the kernels that take the least memory, how small the arena can be. The
next lets each layer use what a budget for the arena leaves at its step, so that most layers cost
no memory at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import onnx_ir as ir

from ternc.backends.esp32.bands import pooled_layers, split_into_bands
from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.memory_plan import MemoryPlan, plan_memory
from ternc.backends.esp32.native import add_native_code
from ternc.backends.esp32.program import Program, Tensor
from ternc.diagnostics import Diagnostics

Optimize = Literal["size", "default", "speed"]
OPTIMIZE: tuple[Optimize, ...] = ("size", "default", "speed")
_ATTEMPTS = 4
_PLENTY = 1 << 30  # bytes of scratch that every kernel is content with
_BANDS = (2, 4, 8)  # of rows, into which a pooled convolution is split
_GAIN = 0.95  # of the arena: what more bands, each with instructions of its own, must get below


@dataclass(frozen=True, slots=True)
class Build:
    """A placed program; `host` computes the same without generated code, where there is some."""

    program: Program
    plan: MemoryPlan
    folded: dict[str, str]  # value name -> the node that absorbed it
    host: Program | None = None


def build(
    model: ir.Model, diagnostics: Diagnostics, *, optimize: Optimize, symbol: str, room: int,
    fuse: bool = True, io_float: bool = False, channels_last_io: bool = False,
    stateful: bool = False,
) -> Build | None:
    """Lowers and places `model`; None when `diagnostics` has errors.

    Args:
        model: As `lower` takes it.
        diagnostics: Receives every problem.
        optimize: "size" computes pooled convolutions in bands and lets the smallest arena that
            there is with outputs apart from inputs grow by an eighth, small ones double by up to
            4 KB and the smallest grow by 1 KB; "default" lets it grow to three and a half times,
            by 44 KB at most, large ones double, with bands only where it would not fit else;
            "speed" lets it grow by 44 KB or double, and generates code for ternary convolutions.
        symbol: Prefix of generated C names.
        room: Bytes of RAM that the arena may take.
        fuse: See `lower`, as for the rest.
        io_float: See `lower`.
        channels_last_io: See `lower`.
        stateful: See `lower`.
    """
    bands: dict[str, int] = {}

    def lowered(into: Diagnostics, room: Callable[[str], Room]) -> tuple[Program, dict[str, str]]:
        program, folded = lower(model, into, fuse=fuse, io_float=io_float,
                                channels_last_io=channels_last_io, stateful=stateful, room=room)
        return program, folded | split_into_bands(program, bands)

    program, folded = lowered(diagnostics, lambda _: Room(_PLENTY))
    if diagnostics.errors:
        return None
    memory = _Memory(program, plan_memory(program))

    def least(wanted: dict[str, int]) -> Build:
        bands.clear()
        bands.update(wanted)
        program, folded = lowered(Diagnostics(), memory.least)
        return Build(program, plan_memory(program), folded)

    best = least({})
    if fuse and (optimize == "size" or (optimize == "default" and best.plan.arena_bytes > room)):
        best = _in_bands(best, least)
        program, _ = lowered(Diagnostics(), lambda _: Room(_PLENTY))
        memory = _Memory(program, plan_memory(program))
    # What the smallest kernels save by outputs over their inputs is not to make "size" slower.
    smallest = best.plan.apart_bytes if optimize == "size" else best.plan.arena_bytes
    budget = _budget(min(smallest, max(room, best.plan.arena_bytes)), optimize, room)
    allowance = budget
    for _ in range(_ATTEMPTS):
        rooms = memory.within(allowance)
        program, folded = lowered(Diagnostics(), rooms)
        host = None
        if optimize == "speed":
            generating = _generating(rooms)
            host, _ = lowered(Diagnostics(), generating)
            program, folded = lowered(Diagnostics(), generating)
            add_native_code(program, symbol, rooms)
            plan_memory(host)
        plan = plan_memory(program)
        if plan.arena_bytes <= budget:
            return Build(program, plan, folded, host if program.natives else None)
        allowance -= plan.arena_bytes - budget  # the order or the packing was worse than assumed
    return best


def _in_bands(whole: Build, least: Callable[[dict[str, int]], Build]) -> Build:
    """The smallest arena with pooled convolutions in bands; `least` is last called with those."""
    layers = pooled_layers(whole.program)
    best, chosen = whole, dict[str, int]()
    for count in _BANDS if layers else ():
        found = least(dict.fromkeys(layers, count))
        if found.plan.arena_bytes < _GAIN * best.plan.arena_bytes:
            best, chosen = found, dict.fromkeys(layers, count)
    for layer in layers if len(chosen) > 1 else ():  # those that do not matter stay whole
        fewer = {name: count for name, count in chosen.items() if name != layer}
        if (found := least(fewer)).plan.arena_bytes <= best.plan.arena_bytes:
            best, chosen = found, fewer
    return least(chosen) if layers else best


def _generating(rooms: Callable[[str], Room]) -> Callable[[str], Room]:
    return lambda layer: replace(rooms(layer), generates=True)


def _budget(arena: int, optimize: Optimize, room: int) -> int:
    """Bytes that the smallest arena may grow to."""
    growth = {
        "size": max(arena // 8, min(arena, 4096), 1024),
        "default": max(2800, min(5 * arena // 2, 45056), arena),
        "speed": max(arena, 45056),
    }
    return max(arena, min(arena + growth[optimize], room))


class _Memory:
    """What is alive at each layer, its kernel's scratch apart."""

    def __init__(self, program: Program, plan: MemoryPlan) -> None:
        self._alive: dict[str, int] = {}  # with the output in a place of its own
        self._over: dict[str, dict[str, int]] = {}  # bytes saved where it is in an operand's place
        last = {id(t): step for step, item in enumerate(program.instructions) for t in item.reads}
        last |= {id(port.tensor): len(program.instructions) for port in program.outputs}
        for step, item in enumerate(program.instructions):
            live = sum(b.size for b in plan.blocks if b.first <= step <= b.last)
            live -= sum(tensor.nbytes for tensor in item.scratch)
            over = {}
            for operand, target in item.opcode.aliases:
                a, y = item.operand(operand), item.operand(target)
                if isinstance(a, Tensor) and isinstance(y, Tensor) and a.nbytes == y.nbytes:
                    over[operand] = y.nbytes if last[id(a)] == step else 0
                    live += y.nbytes if (a.offset, a.region) == (y.offset, y.region) else 0
            self._alive[item.layer] = max(self._alive.get(item.layer, 0), live)
            self._over[item.layer] = over

    def least(self, layer: str) -> Room:
        """Room for the kernel that takes the least."""
        return replace(self.within(0)(layer), least=True)

    def within(self, budget: int) -> Callable[[str], Room]:
        """Room for each layer in an arena of `budget` bytes."""
        def room(layer: str) -> Room:
            over = self._over.get(layer, {})
            return Room(budget - self._alive.get(layer, budget), over.get("x", 0),
                        over.get("r", 0))

        return room

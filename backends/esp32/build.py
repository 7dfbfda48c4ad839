"""From the final graph to a placed program: how much scratch each kernel may use, and -O.

Fast kernels want scratch (tables, packed images). First lowerings with hardly any show what is
alive at each layer; the next lets each layer use what is left of a budget at its step, so that the
peak rises as little as the budget allows and most layers cost no memory at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.memory_plan import MemoryPlan, plan_memory
from ternc.backends.esp32.native import add_native_code
from ternc.backends.esp32.program import Program
from ternc.diagnostics import Diagnostics

Optimize = Literal["size", "default", "speed"]
OPTIMIZE: tuple[Optimize, ...] = ("size", "default", "speed")
_ATTEMPTS = 4
_LEAN = (0, 512, 2048)  # bytes of scratch for each layer among which the smallest arena is sought


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
        optimize: "size" lets the peak rise by 3 % or 512 bytes at most; "default" lets
            the arena double up to 32 KB and from there grow by half; "speed" lets it double (or
            grow by 32 KB) and generates code for ternary convolutions.
        symbol: Prefix of generated C names.
        room: Bytes of RAM that the arena may take.
        fuse: See `lower`, as for the rest.
        io_float: See `lower`.
        channels_last_io: See `lower`.
        stateful: See `lower`.
    """

    def lowered(into: Diagnostics, limit: Callable[[str], int]) -> tuple[Program, dict[str, str]]:
        return lower(model, into, fuse=fuse, io_float=io_float, channels_last_io=channels_last_io,
                     stateful=stateful, scratch_limit=limit)

    plain: Build | None = None
    for scratch in _LEAN:  # a little scratch can save more: in-place kernels want some
        into = diagnostics if plain is None else Diagnostics()
        program, folded = lowered(into, _always(scratch))
        if diagnostics.errors:
            return None
        lean = Build(program, plan_memory(program), folded)
        if plain is None or lean.plan.arena_bytes <= plain.plan.arena_bytes:
            plain = lean
    assert plain is not None
    budget = _budget(plain.plan.arena_bytes, optimize, room)
    alive = _alive(plain)
    best, allowance = plain, budget
    for _ in range(_ATTEMPTS):
        limit = _limits(alive, allowance)
        program, folded = lowered(Diagnostics(), limit)
        host = None
        if optimize == "speed":
            host = program
            program, folded = lowered(Diagnostics(), limit)
            add_native_code(program, symbol, limit)
            plan_memory(host)
        plan = plan_memory(program)
        if plan.arena_bytes <= max(budget, plain.plan.arena_bytes):
            best = Build(program, plan, folded, host if program.natives else None)
            break
        allowance -= plan.arena_bytes - budget  # the order or the packing was worse than assumed
    return best


def _budget(arena: int, optimize: Optimize, room: int) -> int:
    """Bytes that the arena may grow to."""
    wanted = {
        "size": arena + max(arena // 32, 512),
        "default": arena + max(2800, min(arena, 16384), arena // 2),
        "speed": arena + max(arena, 32768),
    }
    return max(arena, min(wanted[optimize], room))


def _always(scratch: int) -> Callable[[str], int]:
    return lambda _: scratch


def _alive(built: Build) -> dict[str, int]:
    """Layer name -> the most bytes alive during its instructions, their own scratch apart."""
    alive: dict[str, int] = {}
    for step, item in enumerate(built.program.instructions):
        live = sum(b.size for b in built.plan.blocks if b.first <= step <= b.last)
        live -= sum(tensor.nbytes for tensor in item.scratch)
        alive[item.layer] = max(alive.get(item.layer, 0), live)
    return alive


def _limits(alive: dict[str, int], budget: int) -> Callable[[str], int]:
    return lambda layer: max(0, budget - alive.get(layer, budget))

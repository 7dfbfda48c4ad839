"""Static memory: offsets of all activations in one arena, found by several heuristics and search.

Tensors whose lives do not overlap share bytes; an output takes its input's place where the
instruction allows it and the input dies there. The lower bound, for the order and in-place
choices made, is the largest sum of live bytes over the steps; a plan that reaches it is optimal.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ternc.backends.esp32.program import Program, Region, Tensor
from ternc.backends.esp32.schedule import activations, best_order, in_place, peak_of

_SEARCH_STEPS = 2000
_EXHAUSTIVE = 7


@dataclass(eq=False, slots=True)
class Block:
    """Tensors that share one place: alive from step `first` to step `last`, both included."""

    tensors: list[Tensor]
    first: int
    last: int
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return max(tensor.nbytes for tensor in self.tensors)

    @property
    def alignment(self) -> int:
        """Bytes that the offset is a multiple of."""
        return max(tensor.alignment for tensor in self.tensors)

    def overlaps(self, other: Block) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The result: `arena_bytes` of scratch plus state, and what bounds it.

    Step -1 is before the run (inputs), step n after the last instruction (outputs).
    """

    arena_bytes: int
    lower_bound_bytes: int
    given_order_bound_bytes: int  # lower bound if the graph's own order had been kept
    peak_step: int
    peak_tensors: tuple[tuple[str, int], ...]  # name, bytes, largest first
    blocks: tuple[Block, ...]
    strategy: str


def plan_memory(program: Program, *, reorder: bool = True) -> MemoryPlan:
    """Orders the instructions, gives every activation its offset, and sizes the regions."""
    given = list(range(len(program.instructions)))
    given_peak = peak_of(program, given)
    if reorder:
        order = best_order(program)
        program.instructions[:] = [program.instructions[i] for i in order]
    blocks = _blocks(program)
    bound, step = _lower_bound(blocks, len(program.instructions))
    strategy, size = _place(blocks, bound)
    for block in blocks:
        for tensor in block.tensors:
            tensor.offset = block.offset
    state = _place_state(program)
    program.region_bytes = {Region.SCRATCH: size, Region.STATE: state, Region.SLOW: 0}
    live = sorted((b for b in blocks if b.first <= step <= b.last), key=lambda b: -b.size)
    return MemoryPlan(
        size + state,
        bound + state,
        given_peak + state,
        step,
        tuple((" = ".join(t.name for t in b.tensors), b.size) for b in live),
        tuple(blocks),
        strategy,
    )


def _place_state(program: Program) -> int:
    end = 0
    for tensor in program.tensors():
        if tensor.region is Region.STATE:
            tensor.offset = -(-end // tensor.alignment) * tensor.alignment
            end = tensor.offset + tensor.nbytes
    return end


def _blocks(program: Program) -> list[Block]:
    """Lifetimes, with in-place pairs merged."""
    count = len(program.instructions)
    blocks: dict[int, Block] = {}

    def touch(tensor: Tensor, step: int) -> None:
        if tensor.region is not Region.SCRATCH:
            return
        block = blocks.setdefault(id(tensor), Block([tensor], step, step))
        block.first, block.last = min(block.first, step), max(block.last, step)

    for port in program.inputs:
        touch(port.tensor, -1)
    for step, item in enumerate(program.instructions):
        for tensor in activations(item):
            touch(tensor, step)
    for port in program.outputs:
        touch(port.tensor, count)
    for step, item in enumerate(program.instructions):
        for source, target in in_place(item):
            before, after = blocks[id(source)], blocks[id(target)]
            if before is not after and before.last == step and after.first == step:
                before.tensors.extend(after.tensors)
                before.last = after.last
                for tensor in after.tensors:
                    blocks[id(tensor)] = before
                break
    return list(dict.fromkeys(blocks.values()))


def _lower_bound(blocks: Sequence[Block], count: int) -> tuple[int, int]:
    """(largest sum of live bytes, the step where it happens)."""
    sums = dict.fromkeys(range(-1, count + 1), 0)
    for block in blocks:
        for step in range(block.first, block.last + 1):
            sums[step] += block.size
    step = max(sums, key=lambda s: (sums[s], -s))
    return sums[step], step


def _first_fit(order: Sequence[Block]) -> int:
    """Places the blocks one by one at the lowest free offset; returns the arena's size."""
    placed: list[Block] = []
    end = 0
    for block in order:
        taken = sorted((b for b in placed if b.overlaps(block)), key=lambda b: b.offset)
        position = 0
        for other in taken:
            aligned = -(-position // block.alignment) * block.alignment
            if aligned + block.size <= other.offset:
                break
            position = max(position, other.offset + other.size)
        block.offset = -(-position // block.alignment) * block.alignment
        placed.append(block)
        end = max(end, block.offset + block.size)
    return end


def _place(blocks: list[Block], bound: int) -> tuple[str, int]:
    """Tries the orders of placement, keeps the best; returns its name and the arena's size."""
    keys: dict[str, Callable[[Block], tuple[int, ...]]] = {
        "by size": lambda b: (-b.size, b.first),
        "by start": lambda b: (b.first, -b.size),
        "by lifetime": lambda b: (b.first - b.last, -b.size),
        "by area": lambda b: (-(b.last - b.first + 1) * b.size, b.first),
        "by alignment": lambda b: (-b.alignment, -b.size, b.first),
        "by end": lambda b: (-b.last, -b.size),
    }
    best_name, best_size, best = "", None, list(blocks)
    for name, key in keys.items():
        order = sorted(blocks, key=key)
        size = _first_fit(order)
        if best_size is None or size < best_size:
            best_name, best_size, best = name, size, order
    assert best_size is not None or not blocks
    best_size = best_size or 0
    if best_size > bound:
        name, size, order = _search(best, best_size, bound)
        if size < best_size:
            best_name, best_size, best = name, size, order
    _first_fit(best)
    return best_name, best_size


def _search(order: list[Block], size: int, bound: int) -> tuple[str, int, list[Block]]:
    """All orders when there are few blocks, else a seeded local search."""
    best = list(order)
    if len(order) <= _EXHAUSTIVE:
        for chosen in itertools.permutations(order):
            found = _first_fit(chosen)
            if found < size:
                size, best = found, list(chosen)
                if size == bound:
                    break
        return "exhaustive", size, best
    generator = random.Random(0)
    for _ in range(_SEARCH_STEPS):
        candidate = list(best)
        for _ in range(generator.choice((1, 1, 2, 3))):
            block = candidate.pop(generator.randrange(len(candidate)))
            candidate.insert(generator.randrange(len(candidate) + 1), block)
        found = _first_fit(candidate)
        if found <= size:
            size, best = found, candidate
            if size == bound:
                break
    return "local search", size, best

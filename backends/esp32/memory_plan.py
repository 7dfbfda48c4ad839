"""Static memory: offsets of all activations in one arena, found by several heuristics and search.

Tensors whose lives do not overlap share bytes; an output takes its input's place where the
instruction allows it and the input dies there, or else lies over what of it is no longer needed.
The lower bound, for the order and in-place choices made, is the largest sum of live bytes over the
steps; a plan that reaches it is optimal.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from ternc.backends.esp32.in_place import in_place
from ternc.backends.esp32.overlap import Overlap, overlap
from ternc.backends.esp32.program import Program, Region, Tensor
from ternc.backends.esp32.schedule import activations, best_order, peak_of

_SEARCH_STEPS = 4000
_SEARCH_VISITS = 3_000_000  # pairs of blocks looked at: about a second
_EXHAUSTIVE = 7


@dataclass(eq=False, slots=True)
class Block:
    """Tensors that share one place: alive from step `first` to step `last`, both included.

    At step `first` it may lie over `source`, of which that is the last, as `over` says.
    """

    tensors: list[Tensor]
    first: int
    last: int
    offset: int = 0
    source: Block | None = None
    over: Overlap | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return max(tensor.nbytes for tensor in self.tensors)

    @property
    def alignment(self) -> int:
        """Bytes that the offset is a multiple of."""
        return max(tensor.alignment for tensor in self.tensors)

    def size_at(self, step: int) -> int:
        """Bytes at a step, without those that it shares with its source."""
        return self.size - (self.over.saved if self.over is not None and step == self.first else 0)

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

    @property
    def apart_bytes(self) -> int:
        """The arena if no output lay over a part of its input, at least."""
        steps = {block.first for block in self.blocks}
        return max((sum(b.size for b in self.blocks if b.first <= step <= b.last)
                    for step in steps), default=0)


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
    for tensor in program.tensors():
        if tensor.base is not None:
            assert tensor.base.offset is not None
            tensor.offset = tensor.base.offset + tensor.start
    state = _place_state(program)
    program.region_bytes = {Region.SCRATCH: size, Region.STATE: state, Region.SLOW: 0}
    live = sorted((b for b in blocks if b.first <= step <= b.last), key=lambda b: -b.size_at(step))
    return MemoryPlan(
        size + state,
        bound + state,
        given_peak + state,
        step,
        tuple((" = ".join(t.name for t in b.tensors), b.size_at(step)) for b in live),
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
    for step, item in enumerate(program.instructions):
        over = overlap(item)
        if over is None:
            continue
        before, after = blocks[id(over.source)], blocks[id(over.target)]
        sizes = over.source.nbytes, over.target.nbytes
        if before.last == step == after.first and sizes == (before.size, after.size):
            after.source, after.over = before, over
    return list(dict.fromkeys(blocks.values()))


def _lower_bound(blocks: Sequence[Block], count: int) -> tuple[int, int]:
    """(largest sum of live bytes, the step where it happens)."""
    sums = dict.fromkeys(range(-1, count + 1), 0)
    for block in blocks:
        for step in range(block.first, block.last + 1):
            sums[step] += block.size_at(step)
    step = max(sums, key=lambda s: (sums[s], -s))
    return sums[step], step


def _forbidden(block: Block, other: Block) -> list[tuple[int, int]]:
    """How far before `other` the block has to begin at least, or how far behind its beginning.

    Each pair holds by itself: of two, between them is a place that is allowed.
    """
    ahead, behind, over = block.size, other.size, None
    if block.source is other and block.over is not None:
        over = block.over
        ahead, behind = over.ahead, over.behind
    elif other.source is block and other.over is not None:
        over = other.over
        ahead, behind = over.behind, over.ahead
    if over is not None and over.same:
        return [(ahead, 0), (0, behind)]
    return [(ahead, behind)]


class _Placer:
    """Places blocks one by one at the lowest free offset."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.sizes = [block.size for block in blocks]
        self.alignments = [block.alignment for block in blocks]
        self.rivals = [[(k, *each) for k, other in enumerate(blocks)
                        if k != i and block.overlaps(other) for each in _forbidden(block, other)]
                       for i, block in enumerate(blocks)]
        self.offsets = [0] * len(blocks)

    def place(self, order: Sequence[int], limit: float = inf) -> int | None:
        """The arena's size when the blocks are placed in this order, None if above `limit`."""
        offsets, sizes = [-1] * len(order), self.sizes
        end = 0
        for i in order:
            size, alignment = sizes[i], self.alignments[i]
            taken = [(offsets[k] - before, offsets[k] + after)
                     for k, before, after in self.rivals[i] if offsets[k] >= 0]
            taken.sort()
            position = 0
            for last, first in taken:  # free up to one, and from the other on
                if position <= last:
                    break
                position = max(position, -(-first // alignment) * alignment)
            offsets[i] = position
            end = max(end, position + size)
            if end > limit:
                return None
        self.offsets = offsets
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
    placer = _Placer(blocks)
    numbers = range(len(blocks))
    found: list[_Found] = []
    for name, key in keys.items():
        ranks = [key(block) for block in blocks]
        order = sorted(numbers, key=ranks.__getitem__)
        size = placer.place(order)
        assert size is not None
        found.append(_Found(name, size, order))
    best = min(found, key=lambda each: each.size)
    if best.size > bound:
        best = _search(placer, best, bound)
    placer.place(best.order)
    for block, offset in zip(blocks, placer.offsets, strict=True):
        block.offset = offset
    return best.name, best.size


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    size: int
    order: list[int]


def _search(placer: _Placer, best: _Found, bound: int) -> _Found:
    """All orders when there are few blocks, else a seeded local search."""
    if len(best.order) <= _EXHAUSTIVE:
        for chosen in itertools.permutations(best.order):
            size = placer.place(chosen, best.size - 1)
            if size is not None:
                best = _Found("exhaustive", size, list(chosen))
                if size == bound:
                    break
        return best
    generator = random.Random(0)
    visits = sum(map(len, placer.rivals)) + len(best.order)
    for _ in range(min(_SEARCH_STEPS, _SEARCH_VISITS // visits)):
        order = list(best.order)
        for _ in range(generator.choice((1, 1, 2, 3))):
            moved = order.pop(generator.randrange(len(order)))
            order.insert(generator.randrange(len(order) + 1), moved)
        size = placer.place(order, best.size)
        if size is not None:
            best = _Found("local search" if size < best.size else best.name, size, order)
            if size == bound:
                break
    return best

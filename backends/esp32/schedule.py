"""Execution order: a search over topological orders for the lowest peak of live bytes."""

from __future__ import annotations

from dataclasses import dataclass

from ternc.backends.esp32.in_place import in_place
from ternc.backends.esp32.overlap import Overlap, overlap
from ternc.backends.esp32.program import Instruction, Program, Region, Tensor

_BEAM = 400  # states kept per step; below this the search is exhaustive
_EXPANSIONS = 60_000  # states made in all: about a second


def activations(item: Instruction) -> list[Tensor]:
    """The planned tensors of an instruction, each once: reads, writes, then scratch.

    Of a part of a tensor, that tensor.
    """
    seen: dict[int, Tensor] = {}
    for tensor in _roots([*item.reads, *item.writes, *item.scratch]):
        if tensor.region is Region.SCRATCH:
            seen.setdefault(id(tensor), tensor)
    return list(seen.values())


def _roots(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.root for tensor in tensors]


@dataclass(frozen=True, slots=True)
class _Problem:
    """The program as integers: per instruction its predecessors, per tensor its readers (bits)."""

    before: list[int]
    after: list[list[int]]  # instructions that wait for this one
    readers: dict[int, int]
    sizes: dict[int, int]
    written: list[list[int]]
    scratch: list[int]
    pairs: list[list[tuple[int, int]]]
    over: list[Overlap | None]
    kept: frozenset[int]  # outputs
    given: frozenset[int]  # inputs


def _problem(program: Program) -> _Problem:
    items = program.instructions
    before = [0] * len(items)
    readers: dict[int, int] = {}
    sizes: dict[int, int] = {}
    writers: dict[int, int] = {}
    for i, item in enumerate(items):
        for tensor in activations(item):
            sizes[id(tensor)] = tensor.nbytes
        for tensor in _roots([*item.reads, *item.writes]):
            before[i] |= writers.get(id(tensor), 0)
        for tensor in _roots(item.writes):
            before[i] |= readers.get(id(tensor), 0)  # what was read before is not overwritten
            writers[id(tensor)] = writers.get(id(tensor), 0) | 1 << i
        for tensor in _roots(item.reads):
            readers[id(tensor)] = readers.get(id(tensor), 0) | 1 << i
        before[i] &= ~(1 << i)
    for port in (*program.inputs, *program.outputs):
        if port.tensor.region is Region.SCRATCH:
            sizes[id(port.tensor)] = port.tensor.nbytes
    after: list[list[int]] = [
        [k for k in range(i + 1, len(items)) if before[k] >> i & 1] for i in range(len(items))]
    return _Problem(
        before, after, readers, sizes, [[id(t) for t in _roots(item.writes)] for item in items],
        [sum(t.nbytes for t in item.scratch) for item in items],
        [[(id(a), id(b)) for a, b in in_place(item)] for item in items],
        [overlap(item) for item in items],
        frozenset(id(p.tensor) for p in program.outputs),
        frozenset(id(p.tensor) for p in program.inputs),
    )


def peak_of(program: Program, order: list[int]) -> int:
    """Peak of live bytes when the instructions run in `order`."""
    problem = _problem(program)
    peak, live = _start(problem)
    done = 0
    for i in order:
        done |= 1 << i
        peak = max(peak, _step(problem, live, i, done))
    return peak


def _start(problem: _Problem) -> tuple[int, dict[int, int]]:
    """Bytes of the inputs, and those of them that somebody reads."""
    given = {t: problem.sizes[t] for t in problem.given if t in problem.sizes}
    live = {t: size for t, size in given.items() if t in problem.readers or t in problem.kept}
    return sum(given.values()), live


def _step(problem: _Problem, live: dict[int, int], i: int, done: int) -> int:
    """Bytes alive while instruction `i` runs; updates `live` to what stays alive after it."""
    new = [t for t in dict.fromkeys(problem.written[i]) if t not in live and t in problem.sizes]
    total = sum(live.values()) + problem.scratch[i] + sum(problem.sizes[t] for t in new)

    def becomes(source: int, target: int) -> bool:
        """Whether the last that is done with a tensor is to make another one of it."""
        dies = source not in problem.kept and not problem.readers.get(source, 0) & ~done
        return dies and target in new and source in live

    over = problem.over[i]
    replaced = next((b for a, b in problem.pairs[i] if becomes(a, b)), None)
    if replaced is not None:
        total -= problem.sizes[replaced]
    if over is not None and id(over.target) != replaced and becomes(
            id(over.source), id(over.target)):
        total -= over.saved
    for t in new:
        live[t] = problem.sizes[t]
    for t in list(live):
        if t not in problem.kept and not problem.readers.get(t, 0) & ~done:
            del live[t]
    return total


@dataclass(frozen=True, slots=True)
class _State:
    """A way to have run some of the instructions; the lowest peak so far decides."""

    peak: int
    live: dict[int, int]
    order: tuple[int, ...]
    ready: tuple[int, ...]

    @property
    def rank(self) -> tuple[int, int, tuple[int, ...]]:
        return self.peak, sum(self.live.values()), self.order


def best_order(program: Program) -> list[int]:
    """The order with the lowest peak that the search finds; the given one when none is better."""
    count = len(program.instructions)
    given = list(range(count))
    problem = _problem(program)
    peak, live = _start(problem)
    states = {0: _State(peak, live, (), tuple(i for i in given if not problem.before[i]))}
    for _ in range(count):
        following: dict[int, _State] = {}
        for done, state in states.items():
            for i in state.ready:
                now, after = done | 1 << i, dict(state.live)
                peak = max(state.peak, _step(problem, after, i, now))
                if now in following and peak >= following[now].peak:
                    continue
                ready = [k for k in state.ready if k != i]
                ready += [k for k in problem.after[i] if not problem.before[k] & ~now]
                following[now] = _State(peak, after, (*state.order, i), tuple(ready))
        kept = sorted(following.items(), key=lambda each: each[1].rank)
        choices = max(len(state.ready) for state in following.values())
        width = _EXPANSIONS // count // max(choices, 1)
        states = dict(kept[: max(1, min(_BEAM, width))])
    (best,) = states.values()
    return list(best.order) if best.peak < peak_of(program, given) else given

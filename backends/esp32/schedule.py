"""Execution order: a search over topological orders for the lowest peak of live bytes."""

from __future__ import annotations

from dataclasses import dataclass

from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import Instruction, Program, Region, Tensor

_BEAM = 400  # states kept per step; below this the search is exhaustive


def activations(item: Instruction) -> list[Tensor]:
    """The planned tensors of an instruction, each once: reads, writes, then scratch."""
    seen: dict[int, Tensor] = {}
    for tensor in (*item.reads, *item.writes, *item.scratch):
        if tensor.region is Region.SCRATCH:
            seen.setdefault(id(tensor), tensor)
    return list(seen.values())


def in_place(item: Instruction) -> list[tuple[Tensor, Tensor]]:
    """(input, output) pairs of the instruction that may share memory exactly."""
    pairs = []
    for source_name, target_name in item.opcode.aliases:
        source, target = item.operand(source_name), item.operand(target_name)
        assert isinstance(source, Tensor)
        assert isinstance(target, Tensor)
        if source.region is not Region.SCRATCH or source.nbytes != target.nbytes:
            continue
        if _walks_alike(item, source_name) and all(
                tensor is not source or _walks_alike(item, operand.name)
                for operand, tensor in zip(item.opcode.operands, item.operands, strict=True)
                if operand.kind is Kind.IN):
            pairs.append((source, target))
    return pairs


def _walks_alike(item: Instruction, operand: str) -> bool:
    """Whether an n-dimensional operand is read at exactly the index that is written."""
    names = {o.name for o in item.opcode.operands}
    if "d0" not in names or operand not in ("a", "b"):
        return True
    dims = [item.operand(f"d{i}") for i in range(6)]
    step = 1
    for i in reversed(range(6)):
        dim = dims[i]
        assert isinstance(dim, int)
        if dim != 1 and item.operand(f"{operand}s{i}") != step:
            return False
        step *= dim
    return True


@dataclass(frozen=True, slots=True)
class _Problem:
    """The program as integers: per instruction its predecessors, per tensor its readers (bits)."""

    before: list[int]
    readers: dict[int, int]
    sizes: dict[int, int]
    touched: list[list[int]]
    written: list[list[int]]
    scratch: list[int]
    pairs: list[list[tuple[int, int]]]
    kept: frozenset[int]  # outputs
    given: frozenset[int]  # inputs


def _problem(program: Program) -> _Problem:
    items = program.instructions
    before = [0] * len(items)
    readers: dict[int, int] = {}
    sizes: dict[int, int] = {}
    writers: dict[int, list[int]] = {}
    for i, item in enumerate(items):
        for tensor in activations(item):
            sizes[id(tensor)] = tensor.nbytes
        for tensor in item.reads:
            readers[id(tensor)] = readers.get(id(tensor), 0) | 1 << i
            for writer in writers.get(id(tensor), []):
                before[i] |= 1 << writer
        for tensor in item.writes:
            for writer in writers.get(id(tensor), []):
                before[i] |= 1 << writer
            writers.setdefault(id(tensor), []).append(i)
    for port in (*program.inputs, *program.outputs):
        if port.tensor.region is Region.SCRATCH:
            sizes[id(port.tensor)] = port.tensor.nbytes
    planned = [[id(t) for t in activations(item) if t not in item.scratch] for item in items]
    return _Problem(
        before, readers, sizes, planned, [[id(t) for t in item.writes] for item in items],
        [sum(t.nbytes for t in item.scratch) for item in items],
        [[(id(a), id(b)) for a, b in in_place(item)] for item in items],
        frozenset(id(p.tensor) for p in program.outputs),
        frozenset(id(p.tensor) for p in program.inputs),
    )


def peak_of(program: Program, order: list[int]) -> int:
    """Peak of live bytes when the instructions run in `order`."""
    problem = _problem(program)
    live = {t: problem.sizes[t] for t in problem.given if t in problem.sizes}
    peak, done = sum(live.values()), 0
    for i in order:
        done |= 1 << i
        peak = max(peak, _step(problem, live, i, done))
    return peak


def _step(problem: _Problem, live: dict[int, int], i: int, done: int) -> int:
    """Bytes alive while instruction `i` runs; updates `live` to what stays alive after it."""
    new = [t for t in dict.fromkeys(problem.written[i]) if t not in live and t in problem.sizes]
    total = sum(live.values()) + problem.scratch[i] + sum(problem.sizes[t] for t in new)
    free = set(new)
    for source, target in problem.pairs[i]:
        dies = source not in problem.kept and not problem.readers.get(source, 0) & ~done
        if dies and target in free and source in live:
            total -= problem.sizes[target]
            free.discard(target)
            break
    for t in new:
        live[t] = problem.sizes[t]
    for t in list(live):
        if t not in problem.kept and not problem.readers.get(t, 0) & ~done:
            del live[t]
    return total


def best_order(program: Program) -> list[int]:
    """The order with the lowest peak that the search finds; the given one when none is better."""
    count = len(program.instructions)
    given = list(range(count))
    problem = _problem(program)
    start = {t: problem.sizes[t] for t in problem.given if t in problem.sizes}
    states: dict[int, tuple[int, dict[int, int], tuple[int, ...]]] = {
        0: (sum(start.values()), start, ())
    }
    for _ in range(count):
        following: dict[int, tuple[int, dict[int, int], tuple[int, ...]]] = {}
        for done, (peak, live, order) in states.items():
            for i in range(count):
                if done >> i & 1 or problem.before[i] & ~done:
                    continue
                after, now = dict(live), done | 1 << i
                cost = max(peak, _step(problem, after, i, now))
                if now not in following or cost < following[now][0]:
                    following[now] = (cost, after, (*order, i))
        kept = sorted(following.items(), key=lambda s: (s[1][0], sum(s[1][1].values()), s[1][2]))
        states = dict(kept[:_BEAM])
    (peak, _, order), = states.values()
    return list(order) if peak < peak_of(program, given) else given

"""Choosing the cheapest layers that hold a limit on the loss, by measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostics
from ternc.mixed.candidates import candidates
from ternc.mixed.proof import accepted
from ternc.mixed.result import MixedPrecision, Point, Sensitivity
from ternc.mixed.search import Choice, Price, Search
from ternc.mixed.telling import cannot_hold, not_sure, nothing_saved
from ternc.mixed.widening import widened, widenings

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.precision import Precision

_ROUNDING: Final = 1e-9


def choose(
    model: ir.Model, precision: Precision, data: Samples, *,
    price: Callable[[ir.Model], Price], labels: Any = None, evaluation: Samples | None = None,
    diagnostics: Diagnostics, progress: Callable[[int, int | None], None] | None = None,
) -> MixedPrecision:
    """The ternary layers of the cheapest program whose loss is at most `precision.max_drop`.

    Measured on `evaluation`; without it every other sample of `data` is held out for that, and the
    search fits on the rest. `labels` may be "model": what the float model answers, so that a drop
    is the share of samples answered otherwise, which no loss of accuracy can exceed.

    Raises:
        CompileError: no program with int8 weights holds the limit, not with int16 activations in
            some layers either (TC0208).
    """
    from ternc.passes.ternarize import float_slots

    assert precision.max_drop is not None
    limit = precision.max_drop + _ROUNDING
    search = Search(model, precision, data, labels, evaluation, price)
    forced = tuple(sorted(precision.kept("ternary")))
    owners = {slot.name: slot.node.name or "" for slot in float_slots(
        model, None, precision.not_ternary | precision.kept("int16"))}
    free = [name for name, node in owners.items() if name not in forced and node not in forced]

    def cost(choice: Choice) -> int:
        return _cost(choice, precision)

    def accept(base: Choice) -> Choice | None:
        return accepted(search, base, offered.cheaper, limit, lambda choice: (cost(choice),))

    int8 = base = search.choice(forced)
    offered = candidates(search, base, free, limit, cost, progress)
    found = accept(base)
    if found is None and precision.activations == "auto":
        nodes = list(dict.fromkeys(owners[name] for name in free))
        wide = widened(search, base, nodes, limit, lambda choice: _memory(choice, precision))
        if wide is not None:
            base = wide
            narrow = [name for name in free if owners[name] not in base.wide]
            offered = candidates(search, base, narrow, limit, cost, progress)
            found = accept(base)
    search.choice(())  # what a limit that cannot be held is told beside
    if found is None:
        raise CompileError((*diagnostics, cannot_hold(search, precision)))
    confirmed = search.confirmed(found)
    sure = confirmed.bound <= limit
    if not sure:
        diagnostics.add(not_sure(search, found, precision.max_drop))
    points = [_point(search, choice) for choice in search.choices
              if set(forced) <= set(choice.ternary)]
    chosen = _point(search, found)
    if found is base:
        nothing_saved(search, diagnostics, points, chosen, precision)
    return MixedPrecision(
        search.measure, precision.minimize, precision.max_drop, search.reference, search.samples,
        tuple(_sensitivity(search, base, name, single)
              for name, single in offered.singles.items()),
        _pareto(points, chosen), chosen, confirmed, sure, found.splits,
        widenings(search, int8, found))


def _cost(choice: Choice, precision: Precision) -> int:
    price = choice.price
    return price.flash_bytes if precision.minimize == "flash" else price.instructions


def _memory(choice: Choice, precision: Precision) -> tuple[int, ...]:
    """What int16 activations take: memory, or time where that is to be small."""
    memory, cost = choice.price.arena_bytes, _cost(choice, precision)
    return (memory, cost) if precision.minimize == "flash" else (cost, memory)


def _point(search: Search, choice: Choice) -> Point:
    drop = search.selected(choice)
    price = choice.price
    return Point(choice.ternary, price.flash_bytes, price.arena_bytes, price.instructions,
                 choice.select.quality, drop.value, drop.error, choice.wide)


def _sensitivity(search: Search, base: Choice, name: str, single: Choice) -> Sensitivity:
    return Sensitivity(
        name, base.price.flash_bytes - single.price.flash_bytes,
        base.price.instructions - single.price.instructions,
        search.selected(single).value - search.selected(base).value)


def _pareto(points: Sequence[Point], chosen: Point) -> tuple[Point, ...]:
    """The points that no other beats in flash, time and loss, the chosen one included."""
    def beats(q: Point, p: Point) -> bool:
        ours, theirs = ((x.flash_bytes, x.instructions, x.drop) for x in (q, p))
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))

    kept = [p for p in points if p == chosen or not any(beats(q, p) for q in points)]
    return tuple(sorted(kept, key=lambda p: (p.flash_bytes, p.instructions)))

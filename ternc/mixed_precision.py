"""Mixed precision: which layers may be ternary so that the loss stays below a limit.

Choices are measured on some of the samples (`mixed_candidates`). Which one is taken, the others
decide, that have chosen nothing: of a choice picked for its score, the score is too good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics, Severity
from ternc.mixed_candidates import Candidates, candidates
from ternc.mixed_search import Choice, Price, Search
from ternc.quality import Drop, Measure

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.precision import Precision

Objective = Literal["flash", "latency"]
OBJECTIVES: Final = ("flash", "latency")
_ROUNDING: Final = 1e-9
_ATTEMPTS: Final = 8  # choices that are confirmed; more would let chance find one


@dataclass(frozen=True, slots=True)
class Point:
    """One choice that was measured: its ternary layers, its size and what it loses.

    `quality`, `drop` and `error`, the standard error of the drop, are of the samples that select.
    """

    ternary: tuple[str, ...]
    flash_bytes: int
    instructions: int
    quality: float
    drop: float
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {"ternary": list(self.ternary), "flash_bytes": self.flash_bytes,
                "instructions": self.instructions, "quality": self.quality, "drop": self.drop,
                "error": self.error}


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One layer made ternary, the others int8."""

    node: str
    saved_bytes: int
    saved_instructions: int
    drop: float


@dataclass(frozen=True, slots=True)
class MixedPrecision:
    """What was measured, and the point that was chosen.

    With labels, quality is accuracy in per cent, and the drop is from the float model. Without,
    quality is the SQNR of the output in dB, and the drop is from the int8 model. `confirmed` is
    the drop of the chosen point on samples that took no part in choosing it; `sure` is whether it
    holds the limit with 95 % confidence. `splits` are the layers that the chosen point splits, by
    the number of output channels of the first part, n[:k] of layer n.
    """

    measure: Measure
    objective: Objective
    limit: float
    reference: float
    samples: int
    sensitivity: tuple[Sensitivity, ...]
    frontier: tuple[Point, ...]
    chosen: Point
    confirmed: Drop
    sure: bool
    splits: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {
            "measure": self.measure, "objective": self.objective, "limit": self.limit,
            "reference": self.reference, "samples": self.samples,
            "sensitivity": [
                {"node": s.node, "saved_bytes": s.saved_bytes,
                 "saved_instructions": s.saved_instructions, "drop": s.drop}
                for s in self.sensitivity],
            "frontier": [p.to_dict() for p in self.frontier],
            "chosen": self.chosen.to_dict(),
            "confirmed": {"drop": self.confirmed.value, "error": self.confirmed.error,
                          "samples": self.confirmed.samples},
            "sure": self.sure, "splits": dict(self.splits),
        }

    def table(self) -> str:
        """The frontier as text, smallest first; the chosen point is marked."""
        from ternc.report import short

        unit = "%" if self.measure == "accuracy" else " dB"
        lines = [f"mixed precision, {self.measure} on {self.samples} samples, drop at most "
                 f"{self.limit:g}, for least {self.objective}:"]
        for p in self.frontier:
            mark = "*" if p == self.chosen else " "
            names = f": {', '.join(map(short, p.ternary))}" if p.ternary else ""
            lines.append(f"{mark} {p.flash_bytes:>10,} bytes  {p.instructions:>12,} instructions  "
                         f"{p.quality:6.2f}{unit}  drop {p.drop:5.2f} +- {p.error:.2f}  "
                         f"{len(p.ternary)} ternary{names}")
        lines.append(f"  * on {self.confirmed.samples} samples that did not choose it: drop "
                     f"{self.confirmed.value:.2f} +- {self.confirmed.error:.2f}")
        return "\n".join(lines)


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
        CompileError: not even the program with int8 weights holds the limit (TC0208).
    """
    from ternc.passes.ternarize import float_slots

    assert precision.max_drop is not None
    limit = precision.max_drop + _ROUNDING
    search = Search(model, precision, data, labels, evaluation, price)
    forced = tuple(sorted(precision.kept("ternary")))
    names = dict.fromkeys(slot.node.name or "" for slot in float_slots(
        model, None, precision.not_ternary | precision.kept("int16")))
    free = [name for name in names if name not in forced]
    offered = candidates(search, forced, free, limit,
                         lambda choice: _cost(choice, precision), progress)
    base, singles = offered.base, offered.singles
    found = _found(search, offered, limit)
    search.choice(())  # what a limit that cannot be held is told beside
    tried = search.choices
    points = {choice.ternary: _point(search, choice) for choice in tried}
    if found is None:
        raise CompileError((*diagnostics, _cannot_hold(search, tried, precision.max_drop)))
    confirmed = search.confirmed(found)
    sure = confirmed.bound <= limit
    if not sure:
        diagnostics.add(_not_sure(search, found, precision.max_drop))
    if found is base:
        _tell_nothing_saved(search, diagnostics, points.values(), precision)
    return MixedPrecision(
        search.measure, precision.minimize, precision.max_drop, search.reference, search.samples,
        tuple(_sensitivity(search, base, name, single)
              for name, single in singles.items()),
        _pareto([p for p in points.values() if set(forced) <= set(p.ternary)],
                points[found.ternary]),
        points[found.ternary], confirmed, sure, found.splits)


def _cost(choice: Choice, precision: Precision) -> int:
    price = choice.price
    return price.flash_bytes if precision.minimize == "flash" else price.instructions


def _found(search: Search, offered: Candidates, limit: float) -> Choice | None:
    """The cheapest choice that is sure to hold.

    Samples that are too few to be sure even of the int8 model are sure of nothing: then it is the
    cheapest choice that was measured to hold.
    """
    attempts, least = 0, np.inf
    for choice in offered.promising:
        if search.loss(choice) > least or attempts == _ATTEMPTS:
            continue
        attempts += 1
        if search.confirmed(choice).bound <= limit:
            return choice
        least = search.loss(choice)  # one that loses more would hardly do better
    if search.confirmed(offered.base).bound <= limit:
        return offered.base
    for choice in offered.promising:
        if search.overall(choice).value <= limit:
            return choice
    return offered.base if search.overall(offered.base).value <= limit else None


def _point(search: Search, choice: Choice) -> Point:
    drop = search.selected(choice)
    return Point(choice.ternary, choice.price.flash_bytes, choice.price.instructions,
                 choice.select.quality, drop.value, drop.error)


def _sensitivity(search: Search, base: Choice, name: str, single: Choice) -> Sensitivity:
    return Sensitivity(
        name, base.price.flash_bytes - single.price.flash_bytes,
        base.price.instructions - single.price.instructions,
        search.selected(single).value - search.selected(base).value)


def _unit(search: Search) -> str:
    return "points of accuracy" if search.measure == "accuracy" else "dB"


def _cannot_hold(search: Search, tried: Sequence[Choice], limit: float) -> Diagnostic:
    drops = {choice.ternary: search.overall(choice).value for choice in tried}
    nearest = min(tried, key=lambda choice: drops[choice.ternary])
    drop, unit = drops[nearest.ternary], _unit(search)
    return Diagnostic(
        "TC0208", f"no choice of ternary and int8 layers loses at most {limit:g} {unit}",
        notes=(f"nearest: {drop:.2f} {unit} with {len(nearest.ternary)} ternary layers "
               f"({nearest.price.flash_bytes:,} bytes), {drop - limit:.2f} too much",),
        help=f"allow --max-drop {np.ceil(drop * 10) / 10:g}, take --activations int16, keep "
             "layers in float32 (--keep float32:NODE), or give more calibration samples")


def _not_sure(search: Search, found: Choice, limit: float) -> Diagnostic:
    overall, confirmed = search.overall(found), search.confirmed(found)
    unit = _unit(search)
    return Diagnostic(
        "TC0209", f"the limit of {limit:g} {unit} holds on the {overall.samples} samples "
        "measured, but so few do not prove it", Severity.WARNING,
        notes=(f"measured: {overall.value:.2f} {unit}; with 95 % confidence on samples that chose "
               f"nothing: at most {confirmed.bound:.2f}",),
        help="give more labelled samples to measure on (--data), or a wider limit")


def _tell_nothing_saved(search: Search, diagnostics: Diagnostics, points: Any,
                        precision: Precision) -> None:
    """The least limit that would have saved something."""
    chosen = min(points, key=lambda p: len(p.ternary))
    better = [p for p in points if (p.flash_bytes < chosen.flash_bytes if precision.minimize
                                    == "flash" else p.instructions < chosen.instructions)]
    if not better:
        return
    nearest = min(better, key=lambda p: p.drop)
    diagnostics.note(
        "TC0210", f"no layer became ternary: none loses at most {precision.max_drop:g} "
        f"{_unit(search)}",
        notes=(f"nearest: {nearest.drop:.2f} {_unit(search)} with {len(nearest.ternary)} ternary "
               f"layers, {nearest.flash_bytes:,} instead of {chosen.flash_bytes:,} bytes",),
        help="widen --max-drop to what the application can bear, or train with ternc.qat"
        + ("; for a classifier, labels or --labels model measure answers instead of noise"
           if search.measure == "sqnr" else ""))


def _pareto(points: Sequence[Point], chosen: Point) -> tuple[Point, ...]:
    """The points that no other beats in flash, time and loss, the chosen one included."""
    def beats(q: Point, p: Point) -> bool:
        ours, theirs = ((x.flash_bytes, x.instructions, x.drop) for x in (q, p))
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))

    kept = [p for p in points if p == chosen or not any(beats(q, p) for q in points)]
    return tuple(sorted(kept, key=lambda p: (p.flash_bytes, p.instructions)))

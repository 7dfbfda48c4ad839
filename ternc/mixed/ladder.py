"""Sets of layers to make ternary, from those that lose least to those that save most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_KEPT: Final = 512  # sets looked at together; more change nothing that could be measured
_RUNGS: Final = 48


@dataclass(frozen=True, slots=True)
class Item:
    """A layer: what it saves made ternary, and the noise that it adds to the output."""

    name: str
    saves: float
    noise: float


@dataclass(frozen=True, slots=True)
class Rung:
    """A set of layers, what it saves in all, and its noise if that of its layers adds up."""

    names: tuple[str, ...]
    saves: float
    noise: float


def ladder(items: Sequence[Item]) -> list[Rung]:
    """Sets of `items` of which none saves more at less noise than another, noise rising.

    Layers that save nothing are left out. Errors of different layers are nearly uncorrelated, so
    that their energies add; what really happens is measured rung by rung. The last rung holds
    every layer.
    """
    sets = [Rung((), 0.0, 0.0)]
    for item in sorted(items, key=lambda i: (-i.saves, i.name)):
        if item.saves > 0:
            more = [Rung((*s.names, item.name), s.saves + item.saves,
                         s.noise + max(item.noise, 0.0)) for s in sets]
            sets = _thinned(_undominated([*sets, *more]), _KEPT)
    return [rung for rung in _thinned(sets, _RUNGS) if rung.names]


def _undominated(sets: list[Rung]) -> list[Rung]:
    kept: list[Rung] = []
    for rung in sorted(sets, key=lambda s: (s.noise, -s.saves, s.names)):
        if not kept or rung.saves > kept[-1].saves:
            kept.append(rung)
    return kept


def _thinned(sets: list[Rung], count: int) -> list[Rung]:
    """At most so many, the ends among them, spread evenly over what they save."""
    if len(sets) <= count:
        return sets
    step = sets[-1].saves / (count - 1)
    kept = [sets[0]]
    for rung in sets[1:-1]:
        if rung.saves >= step * len(kept):
            kept.append(rung)
    return [*kept[: count - 1], sets[-1]]


def highest(count: int, holds: Callable[[int], bool]) -> int:
    """How many of the rungs 0 to count - 1 hold, if each holds where the next one does.

    By bisection, the last rung first, as often all hold.
    """
    low, high = 0, count + 1
    while high - low > 1:
        middle = count if high == count + 1 and low == 0 else (low + high) // 2
        if holds(middle - 1):
            low = middle
        else:
            high = middle
    return low

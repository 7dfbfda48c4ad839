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


@dataclass(frozen=True, slots=True)
class Curve:
    """A layer of which a part may be ternary: its item, and the shares of noise of k channels.

    `shares` are those of the first 0, 1 .. n channels, or None where it is ternary as a whole or
    not at all; a part costs `overhead` of what it saves.
    """

    item: Item
    shares: Sequence[float] | None
    overhead: float

    def options(self) -> list[Option]:
        """The parts that save anything, and the whole layer."""
        noise = max(self.item.noise, 0.0)
        found = [Option(None, self.item.saves, noise)] if self.item.saves > 0 else []
        count = 0 if self.shares is None else len(self.shares) - 1
        for channels in range(4, count, 4):
            assert self.shares is not None
            saves = self.item.saves * channels / count - self.overhead
            if saves > 0:
                found.append(Option(channels, saves, noise * self.shares[channels]))
        return found


@dataclass(frozen=True, slots=True)
class Option:
    """So many ternary channels of a layer (None: all of them), what they save and their noise."""

    channels: int | None
    saves: float
    noise: float


def part_ladder(curves: Sequence[Curve]) -> list[dict[str, int | None]]:
    """Channels by layer as in `Option`, saving more and more at more and more noise.

    From rung to rung, the step is taken that adds least noise for what it saves: no set of parts
    saves more at less noise than a rung. The last rung holds every layer that saves anything.
    """
    steps = sorted(((slope, curve.item.name, option) for curve in curves
                    for slope, option in _hull(curve.options())),
                   key=lambda step: (step[0], step[1], step[2].saves))
    rungs: list[dict[str, int | None]] = [{}]
    for _, name, option in steps:
        rungs.append({**rungs[-1], name: option.channels})
    stride = -(-len(steps) // _RUNGS) if steps else 1
    return rungs[:0:-stride][::-1]


def _hull(options: Sequence[Option]) -> list[tuple[float, Option]]:
    """The options on the lower convex hull, each with the noise per saving from the one before."""
    found: list[tuple[float, Option]] = []
    here = Option(0, 0.0, 0.0)
    while True:
        ahead = [((option.noise - here.noise) / (option.saves - here.saves), option)
                 for option in options if option.saves > here.saves]
        if not ahead:
            return found
        slope, here = min(ahead, key=lambda step: (step[0], -step[1].saves))
        found.append((slope, here))


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

"""Choices in which layers are ternary for some of their output channels.

Where the next layer can read channels in another order, those that add least noise come first
(`channels`), and a ladder says how many of each layer; between its last step that promises to hold
and the next, bisection finds how many of the layer that they differ in. Other layers take their
first or their last channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ternc.mixed.channels import Ranking, ranking
from ternc.mixed.ladder import Curve, Item, highest, part_ladder
from ternc.mixed.search import Choice, Search
from ternc.passes.split_channels import Split, part_names

_Channels = Mapping[str, int | None]  # ternary output channels by node; None: all of them


@dataclass(frozen=True, slots=True)
class Parts:
    """Measures choices with parts of layers ternary, the others as in `base`."""

    search: Search
    base: Choice
    promises: Callable[[Choice], bool]
    ranked: Mapping[str, Ranking]

    @staticmethod
    def of(search: Search, base: Choice, promises: Callable[[Choice], bool],
           names: Sequence[str]) -> Parts:
        """With the channels of layers `names` ranked, where they can be."""
        ranks = {name: ranking(search, name) for name in names}
        return Parts(search, base, promises,
                     {name: rank for name, rank in ranks.items() if rank is not None})

    def measure_ladder(self, start: Choice, overhead: float, items: Sequence[Item]) -> None:
        """Measures `start` with those layers and parts of `items` that promise to save most."""
        steps: list[_Channels] = [{}, *part_ladder([
            Curve(item, self.ranked[item.name].shares if item.name in self.ranked else None,
                  overhead) for item in items])]
        held = highest(len(steps) - 1, lambda step: self._holds(start, steps[step + 1]))
        if held == len(steps) - 1:
            return
        before, after = steps[held], steps[held + 1]
        for item in items:
            name, count = item.name, after.get(item.name, 0)
            if name in self.ranked and count != before.get(name, 0):
                channels = len(self.ranked[name].order)
                # fewer channels than that do not save what a part costs
                least = before.get(name) or int(overhead * channels / item.saves)
                self._measure_between(start, before, name, least, count or channels)

    def measure_ends(self, start: Choice, name: str) -> None:
        """Measures `start` with as many channels of a layer as promise to hold, and with half.

        The ternary ones are the first or the last, a multiple of four: kernels take them in fours.
        Of rows of a recurrent layer they are those that lose least.
        """
        channels = self.search.channels(name)

        def holds(fours: int, last: bool) -> bool:
            at = channels - 4 * fours if last else 4 * fours
            part = part_names(name, at)[last]
            return self.promises(self.search.choice(
                (*start.ternary, part), {**start.splits, name: Split(at)}, wide=start.wide))

        for last in (False,) if self.search.splits_in_order(name) else (False, True):
            low = _bisected(0, -(-channels // 4), lambda n, last=last: holds(n, last))  # type: ignore[misc]
            if low > 1:
                holds(low // 2, last)  # for where the confirming samples refuse the other

    def overhead(self, items: Sequence[Item], cost: Callable[[Choice], int]) -> float:
        """What it costs that a layer has two parts, measured at the one that saves most."""
        able = [item for item in items
                if item.name in self.ranked and len(self.ranked[item.name].order) >= 16]
        if not able:
            return 0.0
        item = max(able, key=lambda item: item.saves)
        count = len(self.ranked[item.name].order)
        half = count // 16 * 8  # kernels take channels in fours or eights
        saved = cost(self.base) - cost(self._choice(self.base, {item.name: half}))
        return max(item.saves * half / count - saved, 0.0)

    def _choice(self, start: Choice, channels: _Channels) -> Choice:
        """`start` with so many channels of each layer ternary, those that add least noise."""
        names, splits = list(start.ternary), dict(start.splits)
        for name, count in channels.items():
            names.append(name if count is None else part_names(name, count)[0])
            if count is not None:
                splits[name] = Split(count, self.ranked[name].order)
        return self.search.choice(names, splits, wide=start.wide)

    def _holds(self, start: Choice, channels: _Channels) -> bool:
        return self.promises(self._choice(start, channels))

    def _measure_between(
        self, start: Choice, before: _Channels, name: str, least: int, most: int
    ) -> None:
        """As many channels of one layer as promise to hold, and fewer, as in `measure_ends`."""
        def holds(fours: int) -> bool:
            return self._holds(start, {**before, name: 4 * fours})

        low = least // 4
        held = _bisected(low, -(-most // 4), holds)
        for fours in {low + -(-(held - low) * part // 3) for part in (1, 2)} - {low, held}:
            holds(fours)


def _bisected(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The largest number below `high` that holds, if each holds where the next does, or `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

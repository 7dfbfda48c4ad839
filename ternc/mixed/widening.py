"""int16 activations for the few layers that need them, where int8 activations lose too much.

Each layer is widened alone; the one that gains most is the first of an order, and of its
beginnings bisection finds the shortest that promises to hold the limit. Of its layers, those that
take most memory become int8 again where that still promises to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ternc.diagnostics import CompileError
from ternc.mixed.proof import Cost, accepted
from ternc.mixed.search import Choice, Search


@dataclass(frozen=True, slots=True)
class Widening:
    """One layer with int16 activations, the others int8: what it gains, and what more it takes.

    `gain` is the drop that it takes away, on the samples that select.
    """

    node: str
    gain: float
    flash_bytes: int
    arena_bytes: int
    instructions: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {"node": self.node, "gain": self.gain, "flash_bytes": self.flash_bytes,
                "arena_bytes": self.arena_bytes, "instructions": self.instructions}


def widened(
    search: Search, base: Choice, free: Sequence[str], limit: float, cost: Cost
) -> Choice | None:
    """`base` with int16 activations in some of the `free` layers, the cheapest that holds."""
    singles = _singles(search, base, free)
    order = sorted(singles, key=lambda name: search.loss(singles[name]))
    widest = _tried(search, base, order)
    if widest is None:
        return None
    found = [widest, *singles.values()]

    def promises(names: Sequence[str]) -> bool:
        choice = _tried(search, base, names)
        if choice is None or not search.promises(choice, widest, limit):
            return False
        found.append(choice)
        return True

    counts = range(1, len(order) + 1)
    names = order[:1 + bisect_left(counts, True, key=lambda count: promises(order[:count]))]
    for name in sorted(names, key=lambda name: singles[name].price.arena_bytes, reverse=True):
        fewer = [other for other in names if other != name]
        if fewer and promises(fewer):
            names = fewer
    safest = max(found, key=lambda choice: search.chance(choice, limit))
    return accepted(search, safest, found, limit, cost)


def widenings(search: Search, base: Choice, chosen: Choice) -> tuple[Widening, ...]:
    """What each layer that `chosen` widens gains and takes alone, in the order of `chosen`."""
    singles = _singles(search, base, chosen.wide)
    return tuple(Widening(
        name, search.selected(base).value - search.selected(single).value,
        single.price.flash_bytes - base.price.flash_bytes,
        single.price.arena_bytes - base.price.arena_bytes,
        single.price.instructions - base.price.instructions)
        for name, single in singles.items())


def _singles(search: Search, base: Choice, names: Sequence[str]) -> dict[str, Choice]:
    """Each layer widened alone; those that have no form of 16 bits are left out."""
    tried = {name: _tried(search, base, [name]) for name in names}
    return {name: choice for name, choice in tried.items() if choice is not None}


def _tried(search: Search, base: Choice, names: Sequence[str]) -> Choice | None:
    """`base` with these layers widened; None where something has no form of 16 bits."""
    try:
        return search.choice(base.ternary, wide=names) if names else None
    except CompileError:
        return None

"""Which choice is taken: the cheapest that is proven to hold, by samples that chose nothing.

Of a choice picked for its score, the score is too good: so other samples decide. They are asked
from the safest choice to the cheapest, and not beyond the first that they refuse. As the order
follows from the selecting samples alone, a choice above the limit passes in at most 5 % of cases,
however many are asked (fixed-sequence testing: Maurer, Hothorn and Lehmacher, 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ternc.mixed.search import Choice, Search

Cost = Callable[[Choice], tuple[int, ...]]

_WORTH_ASKING: Final = 0.1  # chance of a proof
_CERTAIN: Final = 0.99


def accepted(
    search: Search, base: Choice, others: Sequence[Choice], limit: float, cost: Cost
) -> Choice | None:
    """`base` or the cheapest of the `others` that is proven to lose at most `limit`.

    Samples that are too few to prove it of `base` prove nothing: then it is the cheapest choice
    that was measured to hold, on all of them, if there is one.
    """
    if search.confirmed(base).bound <= limit:
        found = base
        for choice in _sequence(search, others, limit, cost):
            if search.confirmed(choice).bound > limit:
                break
            found = choice
        return found
    holding = (c for c in sorted(others, key=cost) if search.selected(c).value <= limit)
    return next((c for c in (*holding, base) if search.overall(c).value <= limit), None)


def _sequence(
    search: Search, others: Sequence[Choice], limit: float, cost: Cost
) -> list[Choice]:
    """Choices that are cheaper and cheaper, and less and less likely to be proven."""
    found, best = [], _WORTH_ASKING
    for choice in sorted(others, key=lambda c: (cost(c), search.loss(c))):
        chance = search.chance(choice, limit)
        if chance > best:
            found.append(choice)
            best = chance
        if chance >= _CERTAIN:
            break  # what is dearer would not be refused either
    return found[::-1]

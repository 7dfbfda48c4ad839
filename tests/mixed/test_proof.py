"""The cheapest choice that is proven; how often what is proven does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from ternc.mixed.proof import accepted
from ternc.mixed.search import Choice, Search
from ternc.quality import Drop

_SAMPLES = 100


@dataclass(eq=False)
class _Choice:
    """What a program costs, and what it loses on the samples that select and on the others."""

    cost: int
    selected: float
    confirmed: float
    error: float = 0.1


@dataclass
class _Search:
    """As many samples select as confirm."""

    limit: float = 1.0
    asked: list[int] = field(default_factory=list)

    def selected(self, choice: _Choice) -> Drop:
        return Drop(choice.selected, choice.error, _SAMPLES)

    def confirmed(self, choice: _Choice) -> Drop:
        self.asked.append(choice.cost)
        return Drop(choice.confirmed, choice.error, _SAMPLES)

    def overall(self, choice: _Choice) -> Drop:
        return Drop((choice.selected + choice.confirmed) / 2, choice.error / 2**0.5, 2 * _SAMPLES)

    def loss(self, choice: _Choice) -> float:
        return choice.selected

    def chance(self, choice: _Choice, limit: float) -> float:
        return Search.chance(cast(Search, self), cast(Choice, choice), limit)

    measure = "sqnr"
    selecting = confirming = type("", (), {"expected": [0] * _SAMPLES})


def _accepted(base: _Choice, *others: _Choice) -> tuple[Any, list[int]]:
    search = _Search()
    found = accepted(cast(Search, search), cast(Choice, base), cast("list[Choice]", others), 1.0,
                     lambda choice: (cast(_Choice, choice).cost,))
    return found, search.asked


def test_from_the_safest_on() -> None:
    """And no further than the first that is refused, though the next would be proven."""
    base, safe, fair = _Choice(9, 0.0, 0.0), _Choice(7, 0.1, 0.2), _Choice(5, 0.7, 0.6)
    refused, beyond = _Choice(4, 0.8, 0.9), _Choice(3, 0.85, 0.5)
    hopeless, dominated, dear = _Choice(2, 1.5, 1.5), _Choice(6, 0.75, 0.0), _Choice(8, 0.0, 0.0)
    everything = (hopeless, beyond, refused, fair, dominated, safe, dear)
    assert _accepted(base, *everything) == (fair, [9, 7, 5, 4])
    assert _accepted(base, safe, fair) == (fair, [9, 7, 5])
    assert _accepted(base, hopeless) == (base, [9])


def test_what_is_not_proven_of_the_dearest() -> None:
    """Then the cheapest that was measured to hold, or none."""
    base, better = _Choice(9, 0.5, 0.95), _Choice(8, 0.9, 0.8)
    assert _accepted(base)[0] is base
    assert _accepted(base, better, _Choice(7, 0.9, 1.2), _Choice(6, 1.1, 0.0))[0] is better
    assert _accepted(_Choice(9, 1.5, 1.5), _Choice(7, 0.9, 1.2))[0] is None


@pytest.mark.parametrize("drop", [1.0, 1.05])
def test_one_in_twenty_at_most(drop: float) -> None:
    """Of many choices that all lose too much, one is seldom accepted."""
    rng, trials, wrong = np.random.default_rng(0), 2000, 0
    for _ in range(trials):
        noise = rng.normal(drop, 0.1, (2, 12))
        others = [_Choice(cost, noise[0, cost], noise[1, cost]) for cost in range(12)]
        wrong += _accepted(_Choice(99, 0.0, 0.0), *others)[0].cost != 99
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5

"""Sets of layers from those that lose least to those that save most."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ternc.mixed.ladder import Curve, Item, highest, ladder, part_ladder

ITEMS = st.lists(
    st.tuples(st.integers(-50, 1000), st.floats(0, 1, width=16)), max_size=6,
).map(lambda pairs: [Item(f"n{i}", saves, noise) for i, (saves, noise) in enumerate(pairs)])


@given(ITEMS)
def test_no_set_is_better_than_a_rung(items: list[Item]) -> None:
    """Against all sets; and the rungs save more and more at more and more noise."""
    rungs = ladder(items)
    for one, other in itertools.pairwise(rungs):
        assert one.saves < other.saves
        assert one.noise <= other.noise
    for rung in rungs:
        for size in range(len(items) + 1):
            for chosen in itertools.combinations(items, size):
                saves, noise = sum(i.saves for i in chosen), sum(i.noise for i in chosen)
                assert not (saves > rung.saves + 1e-6 and noise < rung.noise - 1e-6)
    useful = [item for item in items if item.saves > 0]
    assert bool(rungs) == bool(useful)
    if rungs:
        assert set(rungs[-1].names) == {item.name for item in useful}


def test_many_layers_give_few_rungs() -> None:
    rungs = ladder([Item(f"n{i}", 100 + i * i, 1 / (1 + i)) for i in range(60)])
    assert 24 <= len(rungs) <= 48
    assert len(rungs[-1].names) == 60


SHARES = st.lists(st.floats(0, 1, width=16), min_size=12, max_size=12).map(
    lambda noise: [0.0, *np.cumsum(sorted(noise)) / max(sum(noise), 1e-9)])


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1, width=16),
                          st.none() | SHARES, st.integers(0, 100)), min_size=1, max_size=3))
def test_no_parts_are_better_than_a_rung(
    layers: list[tuple[int, float, list[float] | None, int]]
) -> None:
    """Nothing saves more at less noise; the last rung is every layer."""
    curves = [Curve(Item(f"n{i}", saves, noise), shares, overhead)
              for i, (saves, noise, shares, overhead) in enumerate(layers)]
    options = [[(0, 0.0, 0.0), *((o.channels, o.saves, o.noise) for o in curve.options())]
               for curve in curves]
    rungs = part_ladder(curves)
    totals = []
    for rung in rungs:
        taken = [next(o for o in every if o[0] == rung[curve.item.name])
                 for curve, every in zip(curves, options, strict=True) if curve.item.name in rung]
        totals.append((sum(o[1] for o in taken), sum(o[2] for o in taken)))
    for one, other in itertools.pairwise(totals):
        assert one[0] <= other[0] + 1e-6
        assert one[1] <= other[1] + 1e-6
    for chosen in itertools.product(*options):
        saves, noise = sum(o[1] for o in chosen), sum(o[2] for o in chosen)
        assert not any(saves > total[0] + 1e-6 and noise < total[1] - 1e-6 for total in totals)
    assert rungs[-1] == {curve.item.name: None for curve in curves}


@given(st.integers(0, 40), st.integers(0, 40))
def test_highest(count: int, limit: int) -> None:
    asked: list[int] = []

    def holds(rung: int) -> bool:
        asked.append(rung)
        return rung < limit

    assert highest(count, holds) == min(limit, count)
    assert len(asked) <= 8

"""Sets of layers from those that lose least to those that save most."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ternc.mixed.ladder import Item, highest, ladder

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


@given(st.integers(0, 40), st.integers(0, 40))
def test_highest(count: int, limit: int) -> None:
    asked: list[int] = []

    def holds(rung: int) -> bool:
        asked.append(rung)
        return rung < limit

    assert highest(count, holds) == min(limit, count)
    assert len(asked) <= 8

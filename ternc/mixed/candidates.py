"""Which choices of ternary layers are worth measuring: from both ends, and then nearby.

What a layer costs where the others are int8 is not what it costs where they are ternary. So each
layer is measured alone, and each as the only int8 one; either gives an order of sets that save
more and more, and bisection finds the last set of each order that promises to hold the limit. To
the best of them, layers are added, and exchanged, as long as that saves more; at last, layers are
ternary for some of their output channels (`parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ternc.mixed.ladder import Item, highest, ladder
from ternc.mixed.parts import Parts
from ternc.mixed.search import Choice, Search

_TRIES: Final = 4  # neighbours of the best choice that are measured before giving up
_STEPS: Final = 6
_SPLIT: Final = 2  # layers of which the first and the last channels are tried


@dataclass(frozen=True, slots=True)
class Candidates:
    """Each layer beside what is ternary anyhow, and every choice that costs less than without."""

    singles: Mapping[str, Choice]
    cheaper: tuple[Choice, ...]


def candidates(
    search: Search, base: Choice, free: Sequence[str], limit: float,
    cost: Callable[[Choice], int], progress: Callable[[int, int | None], None] | None = None,
) -> Candidates:
    """Measures `base` with more of the `free` layers ternary; `cost` is to be small."""
    forced = base.ternary

    def choice(more: Sequence[str]) -> Choice:
        return search.choice((*forced, *more), wide=base.wide)

    def promises(choice: Choice) -> bool:
        return search.promises(choice, base, limit)

    singles: dict[str, Choice] = {}
    for name in free:
        singles[name] = choice([name])
        if progress is not None:
            progress(len(singles), len(free) + 1)
    saves = {name: cost(base) - cost(single) for name, single in singles.items()}
    useful = [name for name in free if saves[name] > 0]

    def cheaper() -> tuple[Choice, ...]:
        return tuple(sorted(
            (c for c in search.choices if c.wide == base.wide
             and set(forced) <= set(c.ternary) and cost(c) < cost(base)),
            key=lambda c: (cost(c), search.loss(c))))

    def best() -> Choice:
        return next(filter(promises, cheaper()), base)

    if not useful or promises(choice(useful)):
        return Candidates(singles, cheaper())
    adds = _added_losses(search, choice, useful, base, singles)
    for losses in adds:
        rungs = ladder([Item(n, saves[n], losses[n]) for n in useful])
        highest(len(rungs), lambda rung, rungs=rungs: promises(  # type: ignore[misc]
            choice(rungs[rung].names)))
    mean = {name: sum(losses[name] for losses in adds) / len(adds) for name in useful}
    found = best()
    for _ in range(_STEPS):
        inside = [name for name in found.ternary if name not in forced]
        nearby = sorted(_nearby(inside, useful, saves),
                        key=lambda pair: (_change(pair, mean), pair))
        measured = (choice([*(n for n in inside if n not in leave), *join])
                    for join, leave in nearby[:_TRIES])
        better = next((c for c in measured if cost(c) < cost(found) and promises(c)), None)
        if better is None:
            break
        found = better
    parts = Parts.of(search, base, promises, useful)
    overhead = parts.overhead([Item(n, saves[n], adds[0][n]) for n in useful], cost)
    for start in [base] if found is base else [base, found]:
        parts.measure_ladder(start, overhead, [
            Item(n, saves[n], adds[0][n]) for n in useful if n not in start.ternary])
    found = best()
    dear = {name: max(mean[name], 0.0) / saves[name] for name in useful}
    whole = [n for n in useful if n not in found.ternary and n not in parts.ranked]
    for name in sorted(whole, key=dear.__getitem__)[:_SPLIT]:
        # what saves less for its loss gives way
        kept = [n for n in useful if n in found.ternary and dear[n] <= dear[name]]
        # beside all that is cheaper, and alone: the former may promise what nobody confirms
        for names in dict.fromkeys((tuple(kept), ())):
            parts.measure_ends(choice(names), name)
    return Candidates(singles, cheaper())


def _added_losses(
    search: Search, choice: Callable[[Sequence[str]], Choice], useful: Sequence[str],
    base: Choice, singles: Mapping[str, Choice],
) -> list[dict[str, float]]:
    """What each layer adds to the loss of `base`, and to that with all the others ternary."""
    alone = {name: search.loss(singles[name]) - search.loss(base) for name in useful}
    if len(useful) < 3:
        return [alone]
    every = search.loss(choice(useful))
    last = {name: every - search.loss(choice([other for other in useful if other != name]))
            for name in useful}
    return [alone, last]


_Change = tuple[tuple[str, ...], tuple[str, ...]]  # layers that become ternary, and int8 again


def _nearby(
    inside: Sequence[str], useful: Sequence[str], saves: Mapping[str, int]
) -> Iterator[_Change]:
    """Changes of one layer, or of two against each other, that save more."""
    for name in useful:
        if name not in inside:
            yield (name,), ()
            yield from (((name,), (other,)) for other in inside if saves[name] > saves[other])


def _change(change: _Change, losses: Mapping[str, float]) -> float:
    join, leave = change
    return sum(losses[name] for name in join) - sum(losses[name] for name in leave)

"""Which choices of ternary layers are worth measuring: from both ends, and then nearby.

What a layer costs where the others are int8 is not what it costs where they are ternary. So each
layer is measured alone, and each as the only int8 one; either gives an order of sets that save
more and more, and bisection finds the last set of each order that promises to hold the limit. To
the best of them, layers are added, and exchanged, as long as that saves more; at last, of layers
that are too much as a whole, some output channels are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ternc.ladder import Item, highest, ladder
from ternc.mixed_search import Choice, Search
from ternc.passes.split_channels import part_names

_TRIES: Final = 4  # neighbours of the best choice that are measured before giving up
_STEPS: Final = 6
_SPLIT: Final = 2  # layers of which some channels are tried


@dataclass(frozen=True, slots=True)
class Candidates:
    """All int8 but the forced layers, each layer alone, and every choice that promises to hold.

    `promising` are sorted by cost, the cheapest first.
    """

    base: Choice
    singles: Mapping[str, Choice]
    promising: tuple[Choice, ...]


def candidates(
    search: Search, forced: Sequence[str], free: Sequence[str], limit: float,
    cost: Callable[[Choice], int], progress: Callable[[int, int | None], None] | None = None,
) -> Candidates:
    """Measures choices of the `free` layers beside the `forced` ones; `cost` is to be small."""
    base = search.choice(forced)
    singles: dict[str, Choice] = {}
    for name in free:
        singles[name] = search.choice((*forced, name))
        if progress is not None:
            progress(len(singles), len(free) + 1)
    saves = {name: cost(base) - cost(single) for name, single in singles.items()}
    useful = [name for name in free if saves[name] > 0]

    def promises(choice: Choice) -> bool:
        return search.promises(choice, base, limit)

    def found() -> tuple[Choice, ...]:
        return tuple(sorted(
            (c for c in search.choices
             if c is not base and set(forced) <= set(c.ternary) and cost(c) < cost(base)
             and promises(c)),
            key=lambda c: (cost(c), search.loss(c))))

    if not useful or promises(search.choice((*forced, *useful))):
        return Candidates(base, singles, found())
    adds = _added_losses(search, forced, useful, base, singles)
    for losses in adds:
        rungs = [(*forced, *rung.names)
                 for rung in ladder([Item(n, saves[n], losses[n]) for n in useful])]
        highest(len(rungs), lambda rung, rungs=rungs: promises(  # type: ignore[misc]
            search.choice(rungs[rung])))
    mean = {name: sum(losses[name] for losses in adds) / len(adds) for name in useful}
    best = next(iter(found()), base)
    for _ in range(_STEPS):
        nearby = sorted(_nearby(best, forced, useful, saves),
                        key=lambda pair: (_change(pair, mean), pair))
        measured = (search.choice([*(n for n in best.ternary if n not in leave), *join])
                    for join, leave in nearby[:_TRIES])
        better = next((c for c in measured if cost(c) < cost(best) and promises(c)), None)
        if better is None:
            break
        best = better
    dear = {name: max(mean[name], 0.0) / saves[name] for name in useful}
    whole = [name for name in useful if name not in best.ternary]
    for name in sorted(whole, key=dear.__getitem__)[:_SPLIT]:
        # what saves less for its loss gives way
        kept = [n for n in best.ternary if n in forced or dear.get(n, 0.0) <= dear[name]]
        # beside all that is cheaper, and alone: the former may promise what nobody confirms
        for start in dict.fromkeys((frozenset(kept), frozenset(forced))):
            _measure_parts(search, search.choice(sorted(start)), name, promises)
        best = next(iter(found()), best)
        if best.splits:
            break
    return Candidates(base, singles, found())


def _measure_parts(
    search: Search, start: Choice, name: str, promises: Callable[[Choice], bool]
) -> None:
    """Measures `start` with as many output channels of a layer as promise to hold, and with half.

    The ternary ones are the first or the last, a multiple of four: kernels take them in fours.
    """
    channels = search.channels(name)

    def holds(fours: int, last: bool) -> bool:
        at = channels - 4 * fours if last else 4 * fours
        part = part_names(name, at)[last]
        return promises(search.choice((*start.ternary, part), {**start.splits, name: at}))

    for last in (False, True):
        low, high = 0, -(-channels // 4)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle, last) else (low, middle)
        if low > 1:
            holds(low // 2, last)  # for where the confirming samples refuse the other


def _added_losses(
    search: Search, forced: Sequence[str], useful: Sequence[str], base: Choice,
    singles: Mapping[str, Choice],
) -> list[dict[str, float]]:
    """What each layer adds to the loss of the int8 model, and to that of the ternary one."""
    alone = {name: search.loss(singles[name]) - search.loss(base) for name in useful}
    if len(useful) < 3:
        return [alone]
    every = search.loss(search.choice((*forced, *useful)))
    last = {name: every - search.loss(search.choice(
        (*forced, *(other for other in useful if other != name)))) for name in useful}
    return [alone, last]


_Change = tuple[tuple[str, ...], tuple[str, ...]]  # layers that become ternary, and int8 again


def _nearby(
    choice: Choice, forced: Sequence[str], useful: Sequence[str], saves: Mapping[str, int]
) -> Iterator[_Change]:
    """Changes of one layer, or of two against each other, that save more."""
    inside = [name for name in choice.ternary if name not in forced]
    for name in useful:
        if name not in inside:
            yield (name,), ()
            yield from (((name,), (other,)) for other in inside
                        if saves[name] > saves.get(other, 0))


def _change(change: _Change, losses: Mapping[str, float]) -> float:
    join, leave = change
    return sum(losses[name] for name in join) - sum(losses.get(name, 0.0) for name in leave)

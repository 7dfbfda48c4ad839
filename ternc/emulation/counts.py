"""What the emulators count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ternc.emulation.classes import Kind
from ternc.emulation.memory import Answer


@dataclass(frozen=True, slots=True)
class Cache:
    """Geometry of the cache in front of flash: bytes in all, ways, bytes of a line."""

    size: int
    ways: int
    line: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact counts of a stretch of execution; all but `instructions` only from unicorn."""

    instructions: int
    kinds: Mapping[Kind, int]
    taken: int = 0  # branches and jumps that went elsewhere
    code_misses: int = 0  # of the modelled cache
    data_misses: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One sample: counts of each layer, and of the whole with what surrounds the layers."""

    layers: tuple[Counts, ...]
    whole: Counts


@dataclass(frozen=True, slots=True)
class Emulated:
    """What an emulator found: the program's answer, and the counts of each sample.

    `unaligned` counts accesses to addresses that are no multiple of their size, None where nobody
    looked.
    """

    answer: Answer
    runs: tuple[Run, ...]
    unaligned: int | None = None


def total(parts: tuple[Counts, ...]) -> Counts:
    """The sum."""
    kinds = {kind: sum(part.kinds.get(kind, 0) for part in parts) for kind in Kind if kind}
    return Counts(
        sum(part.instructions for part in parts),
        {kind: count for kind, count in kinds.items() if count},
        sum(part.taken for part in parts), sum(part.code_misses for part in parts),
        sum(part.data_misses for part in parts))

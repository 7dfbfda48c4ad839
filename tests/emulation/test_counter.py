"""The counting functions in C, called as unicorn calls them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ternc._emulator import Counter

BASE = 0x80000000
Stop = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
Block = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
Read = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int,
                        ctypes.c_int64, ctypes.c_void_p)


class Machine:
    """Code of 512 halfwords, each second one an instruction, and a cache of two sets."""

    def __init__(self, limit: int = 10**9, ways: int = 2) -> None:
        self.stopped = 0
        self._stop = Stop(self._on_stop)
        address = ctypes.cast(self._stop, ctypes.c_void_p).value or 0
        self.counter = Counter(BASE, b"\1\0" * 256, limit, address, 32 * 2 * ways, ways, 32)
        self._block = Block(self.counter.block_hook)
        self._read = Read(self.counter.read_hook)

    def _on_stop(self, engine: int) -> int:
        self.stopped += engine
        return 0

    def block(self, halfword: int, size: int) -> None:
        self._block(1, BASE + 2 * halfword, 2 * size, self.counter.address)

    def read(self, offset: int) -> None:
        self._read(1, 16, BASE + offset, 4, 0, self.counter.address)


def executed(delta: bytes) -> list[int]:
    return [int(n) for n in np.cumsum(np.frombuffer(delta, np.int64))]


blocks = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 12)), max_size=40)


@given(blocks)
def test_executions_and_jumps(found: list[tuple[int, int]]) -> None:
    machine = Machine()
    wanted, taken, end, count = [0] * 512, 0, -1, 0
    for at, size in found:
        machine.block(at, size)
        for i in range(at, at + size):
            wanted[i] += 1
            count += i % 2 == 0
        taken += at != end
        end = at + size
    delta, jumps, _, _ = machine.counter.take()
    assert executed(delta) == wanted
    assert jumps == taken
    assert machine.counter.instructions == count
    assert machine.stopped == 0
    assert executed(machine.counter.take()[0]) == [0] * 512


@given(blocks, st.integers(1, 4))
def test_cache_replaces_the_least_recently_used(found: list[tuple[int, int]], ways: int) -> None:
    machine = Machine(ways=ways)
    sets: list[list[int]] = [[], []]
    misses = [0, 0]

    def access(line: int, kind: int) -> None:
        lines = sets[line % 2]
        misses[kind] += line not in lines
        if line in lines:
            lines.remove(line)
        lines.insert(0, line)
        del lines[ways:]

    for at, size in found:
        machine.read(96 * at)
        access((BASE + 96 * at) // 32, 1)
        machine.block(at, size)
        for line in range((BASE + 2 * at) // 32, (BASE + 2 * (at + size) - 1) // 32 + 1):
            access(line, 0)
    assert list(machine.counter.take()[2:]) == misses


@pytest.mark.parametrize("act", [
    lambda m: m.block(511, 2), lambda m: m.block(-1, 1), lambda m: m.block(10**6, 1)])
def test_code_elsewhere_stops_the_program(act: Callable[[Machine], None]) -> None:
    machine = Machine()
    act(machine)
    assert machine.counter.outside
    assert machine.stopped == 1


def test_limit() -> None:
    machine = Machine(limit=10)
    machine.block(0, 20)
    assert (machine.counter.instructions, machine.stopped) == (10, 0)
    machine.block(20, 1)
    assert machine.stopped == 1


@pytest.mark.parametrize(
    "geometry", [(0, 1, 32), (64, 0, 32), (64, 2, 0), (96, 1, 24), (32, 2, 32)])
def test_no_such_cache(geometry: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no such cache"):
        Counter(BASE, b"", 1, 0, *geometry)

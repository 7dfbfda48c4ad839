"""The weight layout of `conv2d_i8_t2_lists`: a list of taps for each output.

A list is a count and so many bytes kind*taps + tap. A kind says what becomes of the words at the
tap: added, taken off, or that and the same for their neighbours, the words of another tap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_KINDS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))  # signs: of the tap, its neighbour
MOST = 128  # taps that a byte can name with either sign


@dataclass(frozen=True, slots=True)
class Window:
    """The taps of a layer; `upright` when positions along the rows are neighbours in memory."""

    height: int
    width: int
    upright: bool
    stride: int  # along these positions, as is the dilation
    dilation: int

    @property
    def taps(self) -> int:
        """How many there are."""
        return self.height * self.width

    def neighbour(self, tap: int) -> int | None:
        """The tap whose words follow this one's, if there is one."""
        place, size = (tap // self.width, self.height) if self.upright else (
            tap % self.width, self.width)
        if self.dilation != 1 or place + self.stride >= size:
            return None
        return tap + self.stride * (self.width if self.upright else 1)


def pack_tap_lists(codes: npt.NDArray[np.generic], window: Window) -> Bytes:
    """The lists of ternary weights [out][tap].

    As many taps as possible are joined to pairs, as far as a byte can name them; single ones come
    first, and for want of any a pair is parted again: the sums begin with a single tap.
    """
    packed: list[int] = []
    for row in codes.astype(np.int64):
        entries = _entries(row.tolist(), window)
        packed += [len(entries), *entries]
    return np.array(packed, np.uint8)


def _entries(row: list[int], window: Window) -> list[int]:
    pairs: list[tuple[int, int]] = []
    free = {tap for tap, weight in enumerate(row) if weight}
    for tap in sorted(free):
        other = window.neighbour(tap)
        if other is None or not {tap, other} <= free:
            continue
        if _code(row, window, tap, other) < 256:
            pairs.append((tap, other))
            free -= {tap, other}
    if not free and pairs:
        free = set(pairs.pop(0))
    single = sorted(free, key=lambda tap: (-row[tap], tap))
    return [_code(row, window, tap) for tap in single] + [
        _code(row, window, *pair) for pair in pairs]


def _code(row: list[int], window: Window, tap: int, other: int | None = None) -> int:
    kind = _KINDS.index((row[tap], 0 if other is None else row[other]))
    return kind * window.taps + tap


def unpack_tap_lists(packed: Bytes, outputs: int, window: Window) -> npt.NDArray[np.int8]:
    """The weights [out][tap] behind `pack_tap_lists`."""
    codes = np.zeros((outputs, window.taps), np.int8)
    at = 0
    for row in codes:
        count = int(packed[at])
        for code in packed[at + 1 : at + 1 + count].tolist():
            kind, tap = divmod(code, window.taps)
            row[tap] = _KINDS[kind][0]
            other = window.neighbour(tap)
            if _KINDS[kind][1] and other is not None:
                row[other] = _KINDS[kind][1]
        at += 1 + count
    return codes

"""Outputs that lie over a part of the input that they are computed from, ahead or behind.

A kernel that computes its output pixel by pixel needs, from some pixel on, only what the windows
of the pixels that are still to come reach. So its output may begin some rows before its input and
follow its reads; or, where the kernel also runs from the last pixel to the first, that much after
it. (Blacker, Bridges and Hadfield, 2020, call the first diagonal memory optimisation.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.isa import Kind, Walk
from ternc.backends.esp32.program import Instruction, OperandValue, Region, Tensor

_Reads = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far an output has to begin from the input that it is computed from.

    `ahead` bytes or more before `source`, or `behind` or more after it, neither more than what
    keeps them apart.
    """

    source: Tensor
    target: Tensor
    ahead: int
    behind: int
    same: bool = False  # or both begin at one place

    def allows(self, source: int, target: int) -> bool:
        """Whether the tensors may be at these offsets."""
        return (target + self.ahead <= source or target >= source + self.behind
                or (self.same and target == source))

    @property
    def saved(self) -> int:
        """Bytes that both take less than they would apart."""
        x, y = self.source.nbytes, self.target.nbytes
        if self.same:
            return min(x, y)
        return x + y - min(max(self.ahead + x, y), max(self.behind + y, x))


def overlap(item: Instruction) -> Overlap | None:
    """How the instruction's output may lie over its input; None where they must be apart."""
    walk = item.opcode.walk
    if walk is Walk.UNKNOWN:
        return None
    numbers = {o.name: v for o, v in zip(item.opcode.operands, item.operands, strict=True)}
    x, y = numbers["x"], numbers["y"]
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    if {x.region, y.region} != {Region.SCRATCH} or x.base is not None or y.base is not None:
        return None
    if item.tensors(Kind.IN).count(x) > 1 or numbers["n"] != 1:
        return None
    if walk is Walk.CHANNELS:  # those as large take its place for good
        smaller = y.nbytes < x.nbytes and numbers["in_c"] == numbers["out_c"]
        return Overlap(x, y, y.nbytes, x.nbytes, same=True) if smaller else None
    ahead, behind = _distances(numbers, x.dtype.size, y.dtype.size, 2 if walk is Walk.PAIRS else 1)
    step = max(x.alignment, y.alignment)
    # Kernels go backwards where y begins behind x, and only there.
    ahead, behind = (-(-max(each, least) // step) * step
                     for each, least in ((ahead, 0), (behind, 1)))
    found = Overlap(x, y, min(ahead, y.nbytes),
                    x.nbytes if walk is Walk.PAIRS else min(behind, x.nbytes))
    return found if found.saved > 0 else None


def _distances(numbers: Mapping[str, OperandValue], x_size: int, y_size: int,
               together: int) -> tuple[int, int]:
    """The distances in bytes; `together`: pixels of which none is written before all are read.

    Pixel p is written to y[p*out_c .. (p+1)*out_c). Ahead, that has to end before the first
    element that p or a later one reads; behind, begin after the last that p or an earlier one
    reads.
    """
    count = {key: value for key, value in numbers.items() if isinstance(value, int)}
    channels = count.get("in_c", count.get("channels", 0))
    written = count.get("out_c", channels) * y_size
    top, left = (_reads(count, axis) for axis in "hw")
    first = (top[0][:, None] * count["in_w"] + left[0]).reshape(-1) * channels
    last = (top[1][:, None] * count["in_w"] + left[1] + 1).reshape(-1) * channels
    reads = np.logical_and.outer(top[0] <= top[1], left[0] <= left[1]).reshape(-1)
    first = np.where(reads, first, count["in_h"] * count["in_w"] * channels)
    last = np.where(reads, last, 0)
    still = np.minimum.accumulate(first[::-1])[::-1]
    so_far = np.maximum.accumulate(last)
    pixels = np.arange(len(first), dtype=np.int64)
    still = still[pixels // together * together]
    return (int(((pixels + 1) * written - still * x_size).max()),
            int((so_far * x_size - pixels * written).max()))


def _reads(count: Mapping[str, int], axis: str) -> tuple[_Reads, _Reads]:
    """For each output along an axis the first and the last input; 1 and 0 where it has none."""
    up, size = count.get(f"up_{axis}", 1), count[f"in_{axis}"]
    outputs = np.arange(count[f"out_{axis}"], dtype=np.int64)[:, None]
    taps = np.arange(count[f"kernel_{axis}"], dtype=np.int64) * count[f"dilation_{axis}"]
    at = outputs * count[f"stride_{axis}"] - count["pad_top" if axis == "h" else "pad_left"] + taps
    meets = (at % up == 0) & (at >= 0) & (at < size * up)
    first = np.where(meets, at // up, size).min(axis=1)
    last = np.where(meets, at // up, -1).max(axis=1)
    return np.where(last < 0, 1, first), np.where(last < 0, 0, last)

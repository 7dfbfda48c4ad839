"""The candidates of `conv2d_i8_t2_lut`: group size, strip width, parts that lanes can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from ternc.backends.esp32.lower.kernel_cost import Array, Choice, Numbers
from ternc.backends.esp32.lower.kernel_layouts import conv_lut_numbers, pack_conv_lut
from ternc.backends.esp32.program import DType

_ENTRIES = {3: 13, 4: 40}
_MOST = 16  # columns that are summed at a time
_CHANNELS = 8  # output channels that are summed at a time
_SMALL = 255  # limit of kernel sizes, strides and dilations in the kernel
_POSITIVE, _NEGATIVE = 32767, 32768  # of a lane
_SURE_NOT = 258  # weights other than 0 that are too many for a lane, whatever their signs
_SIZES = 3  # of parts that are tried
_PADDING = 1.1  # times the bytes of the fewest parts


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Channels and taps whose sums fit lanes, and their codes."""

    group: int
    parts: int
    chunk: int
    packed: Array
    used: int  # codes other than 0
    shape: tuple[int, int, int, int]  # of the pattern numbers: out, taps, parts, groups

    @property
    def count(self) -> int:
        """Sums that make one output."""
        return self.parts * -(-self.shape[1] // self.chunk)


def conv_lut(codes: Array, numbers: Numbers) -> Iterator[Choice]:
    """Every form that computes this convolution."""
    limited = ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    if (
        numbers["groups"] != 1
        or (numbers["up_h"], numbers["up_w"]) != (1, 1)
        or any(numbers[name] > _SMALL for name in limited)
    ):
        return
    flat = flattened(numbers)
    height, width = lanes(flat)
    for group in (4, 3):
        least = inf
        for parts, chunk in lane_pieces(codes, group):
            found = conv_lut_numbers(codes, group, parts)
            pieces = _Pieces(group, parts, chunk, pack_conv_lut(found, group, chunk),
                             int(np.count_nonzero(found)), found.shape)
            least = min(least, pieces.packed.nbytes)
            if pieces.packed.nbytes > _PADDING * least:
                continue
            shapes = [(columns, 1) for columns in widths(flat)]
            if height > 1 and width > 4:  # 8 columns of two rows: as good as 16
                shapes.append((_MOST // 2, 2))
            for columns, rows in shapes:
                if pieces.count == 1:
                    yield _candidate(pieces, flat, columns, rows, len(codes))
                elif columns <= _MOST:  # the sums of all outputs at a time, or of half of them
                    half = -(-len(codes) // (2 * _CHANNELS)) * _CHANNELS
                    for held in sorted({len(codes), min(half, len(codes))}):
                        yield _candidate(pieces, flat, columns, rows, held)


def flattened(numbers: Numbers) -> dict[str, int]:
    """The same layer as one long row where it reads single pixels: strips are then always full."""
    new = dict(numbers)
    ones = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    if (
        all(numbers[name] == 1 for name in ones)
        and not (numbers["pad_top"] or numbers["pad_left"])
        and (numbers["in_h"], numbers["in_w"]) == (numbers["out_h"], numbers["out_w"])
    ):
        pixels = numbers["n"] * numbers["in_h"] * numbers["in_w"]
        new.update(n=1, in_h=1, out_h=1, in_w=pixels, out_w=pixels)
    return new


def lanes(numbers: Numbers) -> tuple[int, int]:
    """Rows and columns of the output that one lane computes."""
    height, width = numbers["out_h"], numbers["out_w"]
    return (-(-height // 2), width) if height > 1 else (1, -(-width // 2))


def widths(numbers: Numbers) -> list[int]:
    """Strip widths worth trying: powers of 2 to 16, and about equal parts of a lane row."""
    _, width = lanes(numbers)
    parts = {-(-width // count) for count in (1, 2, 3, 4, -(-width // _MOST), -(-width // 8))}
    return sorted({min(width, most) for most in (_MOST, 8, 4, 2)} | parts, reverse=True)


def lane_pieces(codes: Array, group: int) -> list[tuple[int, int]]:
    """(parts, chunk) worth trying: channels and taps whose sums a 16-bit lane can hold.

    The fewest parts of channels, two and four times as many (whose tables are smaller); chunks of
    taps only where the channels of one pattern do not fit.
    """
    channels, taps = codes.shape[-1], prod(codes.shape[1:-1])
    most = -(-channels // group)
    weights = int(np.count_nonzero(codes.reshape(len(codes), -1), axis=1).max(initial=0))
    found: list[tuple[int, int]] = []
    parts = min(max(1, -(-weights // _SURE_NOT)), most)
    while parts <= most and len(found) < _SIZES:
        here = -(-channels // (group * parts)) * group
        if (parts - 1) * here < channels and _fits(codes, here, taps):
            found.append((parts, taps))
            parts *= 2
        else:
            parts += 1
    chunk = taps
    while not found and chunk > 1:
        chunk = -(-chunk // 2)
        if _fits(codes, group, chunk):
            found.append((most, chunk))
    return found


def _fits(codes: Array, channels: int, chunk: int) -> bool:
    """Whether lanes hold the sums of so many channels and taps, whatever the activations.

    A sum of p positive and n negative weights lies in -(128p + 127n) .. 127p + 128n. At most 255
    nonzero weights always fit.
    """
    rows = codes.reshape(len(codes), -1, codes.shape[-1]).astype(np.int8)
    positive, negative = (
        np.add.reduceat(
            np.add.reduceat(sign, np.arange(0, sign.shape[1], chunk), axis=1, dtype=np.int64),
            np.arange(0, sign.shape[2], channels), axis=2)
        for sign in (rows > 0, rows < 0))
    return bool((127 * positive + 128 * negative).max() <= _POSITIVE
                and (128 * positive + 127 * negative).max() <= _NEGATIVE)


def _candidate(
    pieces: _Pieces, numbers: dict[str, int], columns: int, at_once: int, held: int
) -> Choice:
    out, taps, parts, groups = pieces.shape
    group, count = pieces.group, pieces.count
    entries = _ENTRIES[group]
    lane_h, lane_w = lanes(numbers)
    stride, dilation, kernel_w = numbers["stride_w"], numbers["dilation_w"], numbers["kernel_w"]
    phases = min(stride, kernel_w) if dilation == 1 or kernel_w == 1 else stride
    reach = (kernel_w - 1) * dilation // stride
    even = columns + columns % 2
    slots = phases * (even + reach)
    span = (numbers["kernel_h"] - 1) * numbers["dilation_h"] + 1
    ring = span + (at_once - 1) * numbers["stride_h"]
    scratch = ring * slots * groups * entries + -(-groups * group // 4) + 2 * taps
    scratch += _MOST * _CHANNELS + (2 * even * at_once * held if count > 1 else 0)
    if parts == 1:
        rows = (lane_h - 1) * min(numbers["stride_h"], span) + span  # of tables
    else:
        rows = -(-out // held) * (lane_h // at_once * ring + lane_h % at_once * span)
    unused = out * taps * parts * groups - pieces.used

    def summed(wide: int) -> float:
        """Instructions for the sums of `wide` columns, requantized."""
        each = 8 if wide == _MOST and at_once == 1 else 10  # columns beside each other, or a jump
        total = float(pieces.used * (each + 2 * wide) + unused * 6)
        total += out * (taps * parts * 5 + 60 * count)
        total += out * (count * (12 * even * at_once + 20) + 32 * wide + 60) * (count > 1)
        return float(total + out * 8 * 2 * wide + taps * parts * 12 + 100)

    instructions = 0.0
    for first in range(0, lane_w, columns):
        width = min(columns, lane_w - first)
        built = phases * (width + width % 2 + reach)
        instructions += rows * parts * built * (groups * (2 * entries + 5 * group + 2) + 60)
        for at in range(0, width, _MOST):
            here = min(_MOST, width - at)
            here += here % 2
            if at_once == 2:
                instructions += lane_h // 2 * summed(_MOST) + lane_h % 2 * summed(here)
            else:
                instructions += lane_h * summed(here)
    instructions *= numbers["n"]
    changed = {name: numbers[name] for name in ("n", "in_h", "in_w", "out_h", "out_w")}
    return Choice(
        "conv2d_i8_t2_lut",
        pieces.packed,
        DType.U8 if group == 4 else DType.I32,
        float(instructions),
        scratch,
        {**changed, "group": group, "columns": columns, "rows": at_once, "parts": parts,
         "chunk": pieces.chunk, "held": held},
    )

"""The candidates of `conv2d_i8_t2_lut`: group size, strip width, chunks that lanes can hold."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from ternc.backends.esp32.lower.kernel_cost import Array, Choice, Numbers
from ternc.backends.esp32.lower.kernel_layouts import conv_lut_numbers, pack_conv_lut
from ternc.backends.esp32.program import DType

_ENTRIES = {3: 13, 4: 40}
_MOST = 16  # columns that are summed at a time
_SUMS = 8 * _MOST + 2 * _MOST  # words of scratch for sums
_SMALL = 255  # limit of kernel sizes, strides and dilations in the kernel


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
    for group in (4, 3):
        chunks = lane_chunks(codes, group)
        if chunks is None:
            continue
        split, chunk = chunks
        found = conv_lut_numbers(codes, group, split)
        packed = pack_conv_lut(found, group, split)
        for columns in widths(flat):
            yield _candidate(found, packed, flat, group, columns, 1, split, chunk)
        height, width = lanes(flat)
        if height > 1 and width > 4:  # 8 columns of two rows: as good as 16
            yield _candidate(found, packed, flat, group, _MOST // 2, 2, split, chunk)


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


def lane_chunks(codes: Array, group: int) -> tuple[int, int] | None:
    """(split, chunk): how a row's taps divide into sums that a 16-bit lane can hold, or None.

    A sum of p positive and n negative weights lies in -(128p + 127n) .. 127p + 128n, whatever the
    activations. Rows of at most 255 nonzero weights always fit.
    """
    out, channels = codes.shape[0], codes.shape[-1]
    taps = prod(codes.shape[1:-1])
    split = 1
    while True:
        groups = -(-channels // (group * split)) * split
        padded = np.zeros((out, taps, groups * group), np.int64)
        padded[..., :channels] = codes.reshape(out, taps, channels)
        runs = padded.reshape(out, taps * split, -1)
        positive, negative = (runs > 0).sum(axis=2), (runs < 0).sum(axis=2)
        high, low = 127 * positive + 128 * negative, 128 * positive + 127 * negative
        total = taps * split
        pieces = 1
        while pieces <= total:
            chunk = -(-total // pieces)
            starts = np.arange(0, total, chunk)
            if (
                np.add.reduceat(high, starts, axis=1).max() <= 32767
                and np.add.reduceat(low, starts, axis=1).max() <= 32768
            ):
                return split, chunk
            pieces += 1
        if groups == split:  # a run of one pattern always fits
            return None
        split *= 2
        if split > channels:
            return None


def _candidate(
    patterns: Array, packed: Array, numbers: dict[str, int], group: int, columns: int,
    at_once: int, split: int, chunk: int
) -> Choice:
    out, taps, groups = patterns.shape
    entries = _ENTRIES[group]
    lane_h, lane_w = lanes(numbers)
    stride, dilation, kernel_w = numbers["stride_w"], numbers["dilation_w"], numbers["kernel_w"]
    phases = min(stride, kernel_w) if dilation == 1 or kernel_w == 1 else stride
    reach = (kernel_w - 1) * dilation // stride
    slots = phases * (columns + columns % 2 + reach)
    span = (numbers["kernel_h"] - 1) * numbers["dilation_h"] + 1
    ring = span + (at_once - 1) * numbers["stride_h"]
    scratch = ring * slots * groups * entries + -(-groups * group // 4) + 2 * taps * split + _SUMS
    rows = (lane_h - 1) * min(numbers["stride_h"], span) + span  # of tables
    used = int(np.count_nonzero(patterns))
    pieces = -(-taps * split // chunk)

    def summed(wide: int) -> float:
        """Instructions for the sums of `wide` columns, requantized."""
        total = float(used * (9 + 2 * wide) + (patterns.size - used) * 6)
        total += out * (taps * split * 5 + 60 + pieces * (16 * wide + 120) * (pieces > 1))
        return float(total + out * 8 * 2 * wide + taps * split * 12 + 100)

    instructions = 0.0
    for first in range(0, lane_w, columns):
        count = min(columns, lane_w - first)
        built = phases * (count + count % 2 + reach)
        instructions += rows * built * (groups * (2 * entries + 5 * group + 2) + 60)
        for at in range(0, count, _MOST):
            here = min(_MOST, count - at)
            here += here % 2
            if at_once == 2:
                instructions += lane_h // 2 * summed(_MOST) + lane_h % 2 * summed(here)
            else:
                instructions += lane_h * summed(here)
    instructions *= numbers["n"]
    changed = {name: numbers[name] for name in ("n", "in_h", "in_w", "out_h", "out_w")}
    return Choice(
        "conv2d_i8_t2_lut",
        packed,
        DType.U8 if group == 4 else DType.I32,
        float(instructions),
        scratch,
        {**changed, "group": group, "columns": columns, "rows": at_once, "split": split,
         "chunk": chunk},
    )

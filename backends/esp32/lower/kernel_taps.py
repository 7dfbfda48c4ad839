"""The candidates for ternary layers with one input channel per group: windows as lists of taps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ternc.backends.esp32.lower.kernel_cost import Array, Choice, Numbers
from ternc.backends.esp32.lower.tap_lists import MOST, Window, pack_tap_lists
from ternc.backends.esp32.program import DType
from ternc.quantize import pack_ternary

LANE_TAPS = 255  # sums of so many weights fit a 16-bit lane; also a limit of the kernels
_SLOTS = 8  # of a word of the plane
_STRIP = 16  # sums at a time
_BATCH = 8  # strips at a time
_LINES = (32, 16, 8, 4, 2, 1)  # of outputs, for which the plane of a large image has room
_LARGE = 10240  # words of a plane from which on it is one of some lines
_BEHIND = 3  # words of the plane that are read for nothing
_KINDS = 6  # of entries in a list


def taps(codes: Array, numbers: Numbers) -> Iterator[Choice]:
    """Every form that computes this convolution; codes [out][kernel_h][kernel_w][1]."""
    limited = ("kernel", "stride", "dilation")
    sizes = [numbers[f"{name}_{axis}"] for axis in "hw" for name in limited]
    if codes[0].size <= LANE_TAPS and max(sizes) <= LANE_TAPS:
        yield _packed(codes, numbers)
        if codes[0].size <= MOST:
            lines = numbers["out_w" if numbers["out_h"] > 1 else "out_h"]
            streams = len(codes) == numbers["in_c"] > 1
            packed = _listed(codes, numbers)
            whole = _lists(codes, packed, numbers, lines)
            yield whole
            if streams and whole.scratch > _LARGE:
                for at_once in (count for count in _LINES if count < lines):
                    yield _lists(codes, packed, numbers, at_once)


def _listed(codes: Array, numbers: Numbers) -> Array:
    along = "h" if numbers["out_h"] > 1 else "w"
    window = Window(numbers["kernel_h"], numbers["kernel_w"], along == "h",
                    numbers[f"stride_{along}"], numbers[f"dilation_{along}"])
    return pack_tap_lists(codes.reshape(len(codes), -1), window)


def _lists(codes: Array, packed: Array, numbers: Numbers, at_once: int) -> Choice:
    """`conv2d_i8_t2_lists`, the plane for so many lines of outputs."""
    size, outputs = codes[0].size, len(codes)
    along, across = ("h", "w") if numbers["out_h"] > 1 else ("w", "h")
    lane = -(-numbers[f"out_{along}"] // 2)
    out_lines = numbers[f"out_{across}"]
    strips = -(-lane // _STRIP)
    columns = -(-lane // strips)
    by_channel = outputs == numbers["in_c"] and outputs > 1
    part_strips, part_lines, parts = strips, at_once, 1
    if not by_channel and out_lines > 1:
        part_lines = -(-out_lines // _SLOTS)
        parts = -(-out_lines // part_lines)
    elif not by_channel:
        part_strips = -(-strips // _SLOTS)
        parts = -(-strips // part_strips)
    stride, dilation = numbers[f"stride_{along}"], numbers[f"dilation_{along}"]
    kernel = numbers[f"kernel_{along}"]
    phases = min(stride, kernel) if dilation == 1 or kernel == 1 else stride
    pitch = phases * (part_strips * columns + (kernel - 1) * dilation // stride)
    lines = (
        (part_lines - 1) * numbers[f"stride_{across}"]
        + (numbers[f"kernel_{across}"] - 1) * numbers[f"dilation_{across}"]
        + 1
    )
    scratch = _SLOTS * (pitch * lines + 2 * size + 9 + _BEHIND) + 4 * _KINDS * size + 64 * _BATCH
    groups = -(-outputs // _SLOTS)
    entries = packed.size - outputs
    pairs = int(np.count_nonzero(codes)) - entries
    blocks = outputs // _SLOTS if by_channel else 0  # of channels that are gathered together
    gathered = blocks * 36 + (numbers["in_c"] - blocks * _SLOTS) * 14 * parts
    each_strip = (entries - pairs) * (6 + 2 * columns) + pairs * (8 + 3 * columns)
    each_strip += outputs * 14 + groups * 60
    if by_channel and at_once < out_lines:  # lines are cleared, and some moved
        gathered += 2 * 10 * groups
        lines = -(-out_lines // at_once) * lines
    instructions = float(lines * (gathered * pitch + 50 * groups))
    instructions += entries * 11 + outputs * 50 + out_lines * strips * each_strip
    instructions += outputs * numbers["out_h"] * numbers["out_w"] * 7.2
    instructions += 2 * scratch + 40 * size + 500
    return Choice(
        "conv2d_i8_t2_lists", packed, DType.U8, numbers["n"] * instructions, scratch,
        {"lines": at_once},
    )


def _packed(codes: Array, numbers: Numbers) -> Choice:
    """`conv2d_i8_t2_taps`."""
    size = codes[0].size
    along, across = ("h", "w") if numbers["out_h"] > 1 else ("w", "h")
    lane = -(-numbers[f"out_{along}"] // 2)
    stride, dilation = numbers[f"stride_{along}"], numbers[f"dilation_{along}"]
    kernel = numbers[f"kernel_{along}"]
    phases = min(stride, kernel) if dilation == 1 or kernel == 1 else stride
    pitch = phases * (lane + lane % 2 + (kernel - 1) * dilation // stride)
    lines = (
        (numbers[f"out_{across}"] - 1) * numbers[f"stride_{across}"]
        + (numbers[f"kernel_{across}"] - 1) * numbers[f"dilation_{across}"]
        + 1
    )
    parts = -(-lane // 16)
    nonzeros = int(np.count_nonzero(codes))
    strips = numbers[f"out_{across}"] * parts
    instructions = numbers["in_c"] * lines * (9 * pitch + 90) + len(codes) * (12 * size + 100)
    instructions += strips * (nonzeros * (6 + 2 * -(-lane // parts)) + len(codes) * 70)
    instructions += 10 * len(codes) * numbers["out_h"] * numbers["out_w"]
    packed = np.frombuffer(pack_ternary(codes.astype(np.int8)), np.uint8)
    return Choice(
        "conv2d_i8_t2_taps",
        packed,
        DType.U8,
        numbers["n"] * instructions,
        pitch * lines + 2 * size + 16 * 8,
    )

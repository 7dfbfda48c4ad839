"""Which kernel computes an integer layer: candidates, what each would cost, and the cheapest.

The cost of a candidate is in cycles of a 160 MHz core: instructions (counted on RV32IMC by
tests/benchmarks/count.py) times CPI, and the bytes of weights that are read cold from flash
(estimates). A candidate that takes more memory than there is room for is not considered; the plain
kernel needs none and is always there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from ternc.backends.esp32.in_place import overwrites_input
from ternc.backends.esp32.lower import kernel_layouts as layouts
from ternc.backends.esp32.lower.kernel_conv_lut import conv_lut
from ternc.backends.esp32.lower.kernel_cost import CPI, FLASH, Array, Choice, Numbers, Room
from ternc.backends.esp32.lower.kernel_dense_lut5 import dense_lut5
from ternc.backends.esp32.lower.kernel_taps import taps
from ternc.backends.esp32.program import DType

DEFAULT_SCRATCH = 40 * 1024
# Kernels that can add a residual.
ADDING = frozenset({"conv2d_i8_blocked", "conv2d_i8_tiles", "conv2d_i8_t2_lut"})
RESIDUAL_OUTPUT = 11.5  # instructions for each output of those
_SHIFTING = frozenset({"conv2d_i8_t2_lists"})  # kernels that requantize `y - lo`
_SLABS = (32, 64, 128, 256)  # outputs of a dense layer whose sums are in memory at a time
# Multiply-accumulates below which the fast kernel is not worth its own flash; such a layer may run
# on a fast one that an earlier layer has linked, and so needs no kernel at all.
_SMALL_DENSE = 1024
_KERNEL_SAVED = 1.25  # how much slower it may be on that, which saves the plain kernel's flash
_TILES_MOST = 1024  # weights of a layer that may take 3.6 times their bytes to be faster
# Instructions of the plain kernels per multiply-accumulate, and per output.
_PLAIN_OUTPUT = 65
_PLAIN = {
    ("dense", True): 9.2,
    ("dense", False): 7.1,
    ("conv2d", True): 11.0,
    ("conv2d", False): 7.8,
}


def choose(
    kernel: str,
    codes: Array,
    ternary: bool,
    numbers: Numbers,
    macs: int,
    room: Room | None = None,
    residual: bool = False,
    spare: bool = True,
    linked: Collection[str] = (),
) -> Choice | None:
    """The cheapest fast kernel, or None where the plain one is better or the only one.

    Args:
        kernel: "dense" or "conv2d".
        codes: int8 weights, output channel first, without zero point.
        ternary: every weight is -1, 0 or +1.
        numbers: the geometry operands of the plain instruction.
        macs: multiply-accumulates of the layer.
        room: memory that the kernel may take; None: `DEFAULT_SCRATCH`.
        residual: a residual follows that the kernel can add, if it is one of `ADDING`.
        spare: results may be 256 output units larger without leaving 32 bits before the shift.
        linked: kernels that earlier layers use.
    """
    room = room or Room(DEFAULT_SCRATCH)
    work = _PLAIN[kernel, ternary] * macs + _PLAIN_OUTPUT * (macs // codes[0].size)
    plain = work * CPI + codes.size * FLASH / (4 if ternary else 1)

    def extra(choice: Choice) -> int:
        """Bytes beside input and output; negative where it saves some."""
        over = 0
        if kernel == "conv2d" and overwrites_input(choice.name, {**numbers, **choice.numbers}):
            over = room.over_input
        if residual and choice.name in ADDING:
            over = max(over, room.over_residual)
        return 4 * choice.scratch - over

    found = [c for c in candidates(kernel, codes, ternary, numbers)
             if (spare or c.name not in _SHIFTING)
             and (c.name != "dense_i8_blocked" or macs > _SMALL_DENSE or c.name in linked)]
    if kernel == "dense" and not ternary and not found and "conv2d_i8_blocked" in linked:
        found.append(_pointwise(codes, numbers))
    if room.least:
        best = min(found, key=lambda c: (extra(c), c.cycles), default=None)
        return best if best is not None and extra(best) <= 0 else None
    found = [c for c in found if extra(c) <= room.scratch]
    best = min(found, key=lambda c: (c.cycles, c.scratch), default=None)
    if kernel == "dense" and not ternary and "dense_i8" not in linked and best and (
            best.name in linked):
        plain *= _KERNEL_SAVED
    return best if best is not None and best.cycles < plain else None


def candidates(kernel: str, codes: Array, ternary: bool, numbers: Numbers) -> Iterator[Choice]:
    """Every fast kernel, with its parameters, that can compute the layer."""
    if kernel == "dense" and ternary:
        yield from _dense_lut(codes, numbers)
    if kernel == "dense" and not ternary:
        yield _dense_blocked(codes, numbers)
    if kernel == "conv2d":
        codes = codes.reshape(len(codes), numbers["kernel_h"], numbers["kernel_w"], -1)
        if ternary:
            yield from conv_lut(codes, numbers)
        if numbers["groups"] == numbers["in_c"] and (numbers["up_h"], numbers["up_w"]) == (1, 1):
            yield from taps(codes, numbers) if ternary else (_depthwise(codes, numbers),)
        if not ternary and numbers["groups"] == 1 and (numbers["up_h"], numbers["up_w"]) == (1, 1):
            yield _conv_blocked(codes, numbers)
            yield from _conv_tiles(codes, numbers)


def _dense_lut(codes: Array, numbers: Numbers) -> Iterator[Choice]:
    out, inputs = codes.shape
    for block in (4, 8, 16):
        tiles = -(-inputs // (4 * block))
        for slab in sorted({out, *(size for size in _SLABS if size < out)}):
            tables = -(-out // slab) * tiles * block * 108
            each = tables + tiles * out * (4 * block + 5) + 18 * out
            yield Choice(
                "dense_i8_t2_lut", layouts.pack_dense_lut(codes, block, slab), DType.U8,
                numbers["rows"] * each, 41 * block + slab, {"block": block, "slab": slab},
            )  # fmt: skip
    yield from dense_lut5(codes, numbers)


def _dense_blocked(codes: Array, numbers: Numbers) -> Choice:
    packed = layouts.pack_blocks(codes)
    each = 3.34 if numbers["rows"] == 1 else 3.0
    instructions = numbers["rows"] * (each * packed.size + 28 * len(codes))
    return Choice("dense_i8_blocked", packed, DType.I8, instructions)


def _pointwise(codes: Array, numbers: Numbers) -> Choice:
    """The dense layer as a convolution of a row of pixels, by a kernel that is there already."""
    ones = ("n", "in_h", "out_h", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h",
            "dilation_w", "up_h", "up_w", "groups")
    geometry = dict.fromkeys(ones, 1) | {
        "in_w": numbers["rows"], "out_w": numbers["rows"], "in_c": numbers["in_features"],
        "out_c": numbers["out_features"], "pad_top": 0, "pad_left": 0, "x_zero": 0}
    choice = _conv_blocked(codes, geometry)
    return replace(choice, numbers=geometry)


def _conv_blocked(codes: Array, numbers: Numbers) -> Choice:
    packed = layouts.pack_blocks(codes)
    taps = packed.shape[1]
    image = numbers["out_h"] * numbers["out_w"]
    pixels = numbers["n"] * (image + image % 2)  # two at a time
    each = 2.9 * packed.size + 23 * len(codes) + 3 * taps + 55 * numbers["kernel_h"] + 60
    return Choice(
        "conv2d_i8_blocked", packed, DType.I8, pixels * each, -(-2 * taps // 4), {}, DType.I8
    )


def _conv_tiles(codes: Array, numbers: Numbers) -> Iterator[Choice]:
    ones = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    if codes.shape[1:3] != (3, 3) or any(numbers[n] != 1 for n in ones):
        return
    if codes.size > _TILES_MOST or numbers["out_w"] > 1 << 16:
        return
    packed = layouts.pack_tiles(codes)
    channels, fours = codes.shape[-1], -(-numbers["out_w"] // 4)
    pairs = numbers["n"] * -(-numbers["out_h"] // 2) * fours
    blocks = len(packed) * (16 * (22 * channels + 26) + 40) + len(codes) * 190
    row = (4 * fours + 2) * channels
    each = blocks + 200 * channels + 4 * row * 6 // fours
    scratch = 16 * 8 + 16 * channels + row
    yield Choice("conv2d_i8_tiles", packed, DType.I16, pairs * each, scratch)


def _depthwise(codes: Array, numbers: Numbers) -> Choice:
    def covered(axis: str) -> int:
        strides = (numbers[f"out_{axis}"] - 1) * numbers[f"stride_{axis}"]
        return strides + (numbers[f"kernel_{axis}"] - 1) * numbers[f"dilation_{axis}"] + 1

    plane = covered("h") * covered("w")
    taps = codes[0].size
    usual = codes.shape[1:3] == (3, 3) and numbers["dilation_w"] == 1
    pixels = numbers["out_h"] * numbers["out_w"]
    each = pixels * (3.1 * taps + 20 if usual else 9 * taps + 25)
    instructions = numbers["n"] * (numbers["in_c"] * (5 * plane + 60) + len(codes) * each)
    return Choice(
        "conv2d_i8_depthwise", codes, DType.I8, instructions, -(-plane // 4), {}, DType.I8
    )

"""The fast kernels give the plain kernels' bytes, whatever the shape and the activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.in_place import overwrites_input
from ternc.backends.esp32.lower import kernel_layouts as layouts
from ternc.backends.esp32.lower import kernel_taps
from ternc.backends.esp32.lower.kernel_choice import ADDING, candidates, choose
from ternc.backends.esp32.lower.kernel_cost import Choice
from ternc.backends.esp32.lower.tap_lists import Window, pack_tap_lists, unpack_tap_lists
from tests.runtime.harness import Array, Call, Number, Refused, assert_sizes_checked, call
from tests.runtime.mac_reference import Geometry, Layer

SEEDS = st.integers(0, 2**32 - 1)
CASES = settings(max_examples=60, deadline=None)
FILLS = st.sampled_from([None, None, -128, 127])  # activations: random, or all the same


def garbage(words: int) -> Array:
    """Kernel scratch, as another kernel left it."""
    return np.full(words, -0x5A5A5A5B, np.int32)


def activations(rng: np.random.Generator, shape: tuple[int, ...], fill: int | None) -> Array:
    if fill is not None:
        return np.full(shape, fill, np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def dense_case(
    rows: int, inputs: int, outputs: int, seed: int, fill: int | None, form: str = "i8_t2"
) -> tuple[Layer, dict[str, Array | None], dict[str, Number]]:
    rng = np.random.default_rng(seed)
    layer = Layer(form, rng, (outputs, inputs), optional=False)
    x = activations(rng, (rows, inputs), fill)
    tensors = {"x": x, "y": layer.output((rows, outputs)), **layer.tensors()}
    numbers = {"rows": rows, "in_features": inputs, "out_features": outputs, **layer.numbers()}
    return layer, tensors, numbers


def lut_case(
    layer: Layer, tensors: dict[str, Array | None], numbers: dict[str, Number], block: int
) -> tuple[dict[str, Array | None], dict[str, Number]]:
    slab = max(1, len(layer.codes) * 2 // 3)
    packed = layouts.pack_dense_lut(layer.codes, block, slab)
    fast = {**tensors, "w": packed, "scratch": garbage(41 * block + slab)}
    return fast, {**numbers, "block": block, "slab": slab}


@CASES
@given(st.integers(1, 3), st.integers(1, 150), st.integers(1, 20), st.sampled_from([4, 8, 16]),
       SEEDS, FILLS)  # fmt: skip
def test_dense_lut(
    rows: int, inputs: int, outputs: int, block: int, seed: int, fill: int | None
) -> None:
    layer, tensors, numbers = dense_case(rows, inputs, outputs, seed, fill)
    expected = call("dense_i8_t2", tensors, **numbers)["y"]
    fast, more = lut_case(layer, tensors, numbers, block)
    np.testing.assert_array_equal(call("dense_i8_t2_lut", fast, **more)["y"], expected)


@CASES
@given(st.integers(1, 3), st.integers(1, 150), st.integers(1, 20), SEEDS, FILLS)
def test_dense_lut5(rows: int, inputs: int, outputs: int, seed: int, fill: int | None) -> None:
    layer, tensors, numbers = dense_case(rows, inputs, outputs, seed, fill)
    expected = call("dense_i8_t2", tensors, **numbers)["y"]
    slab = max(1, outputs * 2 // 3)
    packed = layouts.pack_dense_lut(layer.codes, 8, slab, 5)
    fast = {**tensors, "w": packed, "scratch": garbage(122 * 8 + slab)}
    numbers["slab"] = slab
    np.testing.assert_array_equal(call("dense_i8_t2_lut5", fast, **numbers)["y"], expected)
    assert_sizes_checked("dense_i8_t2_lut5", fast, **numbers)
    back = layouts.unpack_dense_lut(packed, (outputs, inputs), 8, slab, 5)
    np.testing.assert_array_equal(back, layer.codes)


def test_dense_lut5_refuses_what_is_no_code() -> None:
    layer, tensors, numbers = dense_case(1, 40, 2, 1, None)
    packed = layouts.pack_dense_lut(layer.codes, 8, 2, 5)
    packed.reshape(-1)[-1] = 244
    fast = {**tensors, "w": packed, "scratch": garbage(122 * 8 + 2)}
    with pytest.raises(Refused):
        call("dense_i8_t2_lut5", fast, **{**numbers, "slab": 2})


@pytest.mark.parametrize("fill", [-128, 127])
def test_dense_lut_of_long_rows_is_exact(fill: int) -> None:
    layer, tensors, numbers = dense_case(1, 4096, 3, 1, fill)
    layer.codes[0], layer.codes[1] = 1, -1
    tensors |= layer.tensors()
    expected = call("dense_i8_t2", tensors, **numbers)["y"]
    fast, more = lut_case(layer, tensors, numbers, 16)
    np.testing.assert_array_equal(call("dense_i8_t2_lut", fast, **more)["y"], expected)


@given(st.integers(1, 90), st.integers(1, 9), st.sampled_from([4, 8, 16]), SEEDS)
def test_dense_lut_layout_round_trips(inputs: int, outputs: int, block: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-1, 2, (outputs, inputs)).astype(np.int8)
    packed = layouts.pack_dense_lut(codes, block, 4)
    back = layouts.unpack_dense_lut(packed, (outputs, inputs), block, 4)
    np.testing.assert_array_equal(back, codes)


def test_dense_lut_check_refuses() -> None:
    layer, tensors, numbers = dense_case(2, 70, 5, 0, None)
    fast, more = lut_case(layer, tensors, numbers, 8)
    assert_sizes_checked("dense_i8_t2_lut", fast, **more)
    for change in (
        {"block": 2},
        {"block": 0},
        {"slab": 0},
        {"slab": 6},
        {"shift": 32},
        {"rows": 0},
        {"in_features": 2**32 - 1},
    ):
        assert Call("dense_i8_t2_lut", fast, {**more, **change}).check() != 0, change
    for bad in (1, 163, 164, 255):  # an odd address, and addresses behind the table
        w = fast["w"]
        assert w is not None
        codes = w.copy()
        codes.reshape(-1)[7] = bad
        assert Call("dense_i8_t2_lut", {**fast, "w": codes}, more).check() != 0, bad


@CASES
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 11), SEEDS, FILLS)
def test_dense_blocked(rows: int, inputs: int, outputs: int, seed: int, fill: int | None) -> None:
    layer, tensors, numbers = dense_case(rows, inputs, outputs, seed, fill, "i8")
    expected = call("dense_i8", tensors, **numbers)["y"]
    del tensors["w_zero"]
    fast = {**tensors, "w": layouts.pack_blocks(layer.codes)}
    np.testing.assert_array_equal(call("dense_i8_blocked", fast, **numbers)["y"], expected)


@pytest.mark.parametrize("rows", [1, 2])
def test_small_dense_layers_run_on_the_convolution_that_is_linked(rows: int) -> None:
    layer, tensors, numbers = dense_case(rows, 37, 10, 5, None, "i8")
    expected = call("dense_i8", tensors, **numbers)["y"]
    integers = {name: int(value) for name, value in numbers.items()}
    macs = rows * layer.codes.size
    assert choose("dense", layer.codes, False, integers, macs) is None
    choice = choose("dense", layer.codes, False, integers, macs, linked={"conv2d_i8_blocked"})
    assert choice is not None
    kept = {name: numbers[name] for name in ("shift", "lo", "hi")}
    fast, more = as_chosen(choice, tensors, kept)
    np.testing.assert_array_equal(call(choice.name, fast, **more)["y"], expected)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Convolutions with strides, dilations, padding (also cropping), one or two dimensions."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    size, out = pair(1, 9), (draw(st.integers(1, 9)), draw(st.integers(1, 40)))
    kernel, stride, dilation, pad = pair(1, 4), pair(1, 3), pair(1, 3), pair(-2, 4)
    if draw(st.booleans()):  # one dimension
        size, out = (1, size[1] * 5), (1, out[1])
        kernel, pad = (1, kernel[1]), (0, pad[1])
    if draw(st.integers(0, 3)) == 0:  # single pixels
        kernel = stride = dilation = (1, 1)
        pad, out = (0, 0), size
    channels, outputs = draw(st.integers(1, 13)), draw(st.integers(1, 9))
    return Geometry(draw(st.integers(1, 2)), size, out, channels, outputs, 1, kernel, stride,
                    dilation, pad)  # fmt: skip


def conv_case(
    g: Geometry, seed: int, fill: int | None, x_zero: int, form: str
) -> tuple[Layer, dict[str, Array | None], dict[str, Number]]:
    rng = np.random.default_rng(seed)
    layer = Layer(form, rng, (g.out_c, *g.kernel, g.group_in), optional=False)
    x = activations(rng, (g.n, *g.size, g.in_c), fill)
    tensors = {"x": x, "y": layer.output((g.n, *g.out, g.out_c)), **layer.tensors()}
    return layer, tensors, {**g.numbers(), **layer.numbers(), "x_zero": x_zero}


NO_RESIDUAL: dict[str, Number] = dict.fromkeys(
    ["y_m", "r_m", "sum_c", "sum_shift", "sum_lo", "sum_hi"], 0)


def as_chosen(
    choice: Choice, tensors: dict[str, Array | None], numbers: dict[str, Number]
) -> tuple[dict[str, Array | None], dict[str, Number]]:
    """Operands of the candidate instead of the plain kernel's."""
    fast = {**tensors, "w": choice.weights}
    fast.pop("w_zero", None)
    if choice.scratch:
        scratch = garbage(choice.scratch)
        fast["scratch"] = scratch.view(choice.scratch_type.numpy)
    more = {**numbers, **choice.numbers}
    if choice.name in ADDING:
        fast["r"] = None
        more |= NO_RESIDUAL
    return fast, more


def assert_all_equal(
    form: str, layer: Layer, tensors: dict[str, Array | None], numbers: dict[str, Number]
) -> int:
    """Runs every candidate of the cost model against the plain kernel; how many there were."""
    expected = call(f"conv2d_{form}", tensors, **numbers)["y"]
    integers = {name: int(value) for name, value in numbers.items()}
    found = list(candidates("conv2d", layer.codes, form == "i8_t2", integers))
    for choice in found:
        fast, more = as_chosen(choice, tensors, numbers)
        got = call(choice.name, fast, **more)["y"]
        np.testing.assert_array_equal(got.reshape(expected.shape), expected, str(choice.numbers))
        if overwrites_input(choice.name, {name: int(value) for name, value in more.items()}):
            in_place = call(choice.name, fast, {"y": "x"}, **more)["y"]
            np.testing.assert_array_equal(in_place, expected, str(choice.numbers))
    return len(found)


@pytest.mark.parametrize("form", ["i8_t2", "i8"])
@CASES
@given(geometries(), SEEDS, FILLS, st.sampled_from([0, -128, 127, 3]))
def test_conv(form: str, g: Geometry, seed: int, fill: int | None, x_zero: int) -> None:
    layer, tensors, numbers = conv_case(g, seed, fill, x_zero, form)
    assert assert_all_equal(form, layer, tensors, numbers) > 0


@st.composite
def three_by_three(draw: st.DrawFn) -> Geometry:
    """Layers of stride 1 with 3x3 weights, the output of the input's size or near it."""
    size = draw(st.integers(1, 11)), draw(st.integers(1, 21))
    pad = draw(st.integers(-1, 2)), draw(st.integers(-1, 2))
    out = tuple(max(1, n + draw(st.integers(-2, 2))) for n in size)
    return Geometry(draw(st.integers(1, 2)), size, (out[0], out[1]), draw(st.integers(1, 7)),
                    draw(st.integers(1, 9)), 1, (3, 3), pad=pad)  # fmt: skip


@pytest.mark.parametrize("form", ["i8_t2", "i8"])
@CASES
@given(three_by_three(), SEEDS, FILLS, st.sampled_from([0, -128, 127, 3]))
def test_conv_3x3(form: str, g: Geometry, seed: int, fill: int | None, x_zero: int) -> None:
    layer, tensors, numbers = conv_case(g, seed, fill, x_zero, form)
    assert assert_all_equal(form, layer, tensors, numbers) > 1


def test_tiles_of_extreme_weights_are_exact() -> None:
    layer, tensors, numbers = conv_case(
        Geometry(1, (6, 7), (6, 7), 28, 4, 1, (3, 3), pad=(1, 1)), 3, -128, 127, "i8")
    layer.codes[0], layer.codes[1] = 127, -128
    layer.codes[2] = np.where(np.indices(layer.codes[2].shape).sum(axis=0) % 2, 127, -128)
    tensors |= layer.tensors()
    assert assert_all_equal("i8", layer, tensors, numbers) > 1


@pytest.mark.parametrize("form", ["i8", "i8_t2"])
@CASES
@given(st.one_of(geometries(), three_by_three()), SEEDS, FILLS, st.integers(0, 24))
def test_conv_with_residual(
    form: str, g: Geometry, seed: int, fill: int | None, shift: int
) -> None:
    """The sum of what the plain kernel gives and another tensor, also in that tensor's place."""
    layer, tensors, numbers = conv_case(g, seed, fill, 5, form)
    plain = call(f"conv2d_{form}", tensors, **numbers)["y"].astype(np.int64)
    integers = {name: int(value) for name, value in numbers.items()}
    rng = np.random.default_rng(seed)
    r = rng.integers(-128, 128, plain.shape).astype(np.int8)
    y_m, r_m, c = (int(v) for v in rng.integers(-(2**21), 2**21, 3))
    added = {"y_m": y_m, "r_m": r_m, "sum_c": c, "sum_shift": shift, "sum_lo": -100, "sum_hi": 90}
    expected = np.clip((plain * y_m + r.astype(np.int64) * r_m + c) >> shift, -100, 90)
    found = [c for c in candidates("conv2d", layer.codes, form == "i8_t2", integers)
             if c.name in ADDING]
    assert found
    for choice in found:
        fast, more = as_chosen(choice, tensors, numbers)
        fast["r"] = r
        more |= added
        np.testing.assert_array_equal(call(choice.name, fast, **more)["y"], expected)
        in_place = call(choice.name, {**fast, "y": r}, {"r": "y"}, **more)["y"]
        np.testing.assert_array_equal(in_place, expected)
        if choice.name == "conv2d_i8_blocked":
            exact = np.zeros(2 * layer.codes[0].size, np.int8)
            assert_sizes_checked(choice.name, {**fast, "scratch": exact}, **more)


@pytest.mark.parametrize("fill", [-128, 127, None])
def test_residual_of_long_sums(fill: int | None) -> None:
    """Sums in two parts, which are requantized elsewhere."""
    layer, tensors, numbers = conv_case(
        Geometry(1, (5, 5), (5, 5), 64, 3, 1, (3, 3), pad=(1, 1)), 5, fill, -128, "i8_t2")
    layer.codes[0], layer.codes[1] = 1, -1
    tensors |= layer.tensors()
    plain = call("conv2d_i8_t2", tensors, **numbers)["y"].astype(np.int64)
    r = np.random.default_rng(0).integers(-128, 128, plain.shape).astype(np.int8)
    integers = {name: int(value) for name, value in numbers.items()}
    expected = np.clip((plain * 3 + r.astype(np.int64) * -5 + 7) >> 3, -128, 127)
    for choice in candidates("conv2d", layer.codes, True, integers):
        fast, more = as_chosen(choice, tensors, numbers)
        more |= {"y_m": 3, "r_m": -5, "sum_c": 7, "sum_shift": 3, "sum_lo": -128, "sum_hi": 127}
        got = call(choice.name, {**fast, "y": r, "r": r}, {"r": "y"}, **more)["y"]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("form", ["i8", "i8_t2"])
@CASES
@given(geometries(), st.integers(1, 3), SEEDS, FILLS, st.sampled_from([0, -128, 127, 3]))
def test_depthwise(
    form: str, g: Geometry, multiplier: int, seed: int, fill: int | None, x_zero: int
) -> None:
    g = replace(g, group_in=1, groups=g.group_in, group_out=multiplier)
    layer, tensors, numbers = conv_case(g, seed, fill, x_zero, form)
    assert assert_all_equal(form, layer, tensors, numbers) > 0


@pytest.mark.parametrize("fill", [-128, 127, None])
@pytest.mark.parametrize("g", [
    Geometry(1, (25, 5), (25, 5), 1, 1, 16, (3, 3), pad=(1, 1)),  # words of 8 channels
    Geometry(2, (7, 40), (7, 40), 1, 1, 8, (3, 3), pad=(1, 1)),  # more lines than in one go
    Geometry(1, (70, 3), (34, 3), 1, 1, 8, (3, 3), (2, 1), pad=(0, 1)),  # two strips, two phases
    Geometry(1, (40, 5), (36, 5), 1, 1, 8, (3, 3), dilation=(2, 1), pad=(0, 1)),
    Geometry(1, (1, 600), (1, 600), 1, 10, 1, (1, 5), pad=(0, 2)),  # parts of several strips
    Geometry(1, (20, 30), (20, 30), 1, 3, 2, (8, 16), pad=(3, 7)),  # 128 taps
], ids=["8 channels", "lines", "stride", "dilation", "1-D", "128 taps"])  # fmt: skip
def test_tap_lists(g: Geometry, fill: int | None) -> None:
    layer, tensors, numbers = conv_case(g, 3, fill, -128, "i8_t2")
    layer.codes[0], layer.codes[1], layer.codes[2] = 1, -1, 0
    tensors |= layer.tensors()
    assert assert_all_equal("i8_t2", layer, tensors, numbers) > 1
    numbers |= {"lo": -128, "hi": 127}  # the bytes are then moved by a way of their own
    assert assert_all_equal("i8_t2", layer, tensors, numbers) > 1


@settings(max_examples=25, deadline=None)
@given(geometries(), st.booleans(), SEEDS, FILLS, st.sampled_from([0, -128, 3]))
def test_tap_lists_of_some_lines(
    g: Geometry, same: bool, seed: int, fill: int | None, x_zero: int
) -> None:
    """A plane for some lines of the image, as large ones have it; in place where that is right."""
    g = replace(g, group_in=1, groups=g.group_in + 1, group_out=1)
    if same:
        g = replace(g, out=g.size, stride=(1, 1))
    layer, tensors, numbers = conv_case(g, seed, fill, x_zero, "i8_t2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_taps, "_LARGE", 0)
        assert assert_all_equal("i8_t2", layer, tensors, numbers) > 1


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(1, 3), st.integers(1, 2),
       SEEDS)  # fmt: skip
def test_tap_lists_round_trip(
    height: int, width: int, upright: bool, stride: int, dilation: int, seed: int
) -> None:
    window = Window(height, width, upright, stride, dilation)
    codes = np.random.default_rng(seed).integers(-1, 2, (4, window.taps)).astype(np.int8)
    codes[0] = 0
    packed = pack_tap_lists(codes, window)
    np.testing.assert_array_equal(unpack_tap_lists(packed, 4, window), codes)


@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 1)),
                                                  ((1, 1), (2, 2))])  # fmt: skip
def test_tap_lists_check_refuses(stride: tuple[int, int], dilation: tuple[int, int]) -> None:
    g = Geometry(1, (9, 5), (5, 5), 1, 1, 3, (3, 2), stride, dilation, pad=(1, 1))
    layer, tensors, numbers = conv_case(g, 0, None, 0, "i8_t2")
    layer.codes[:] = 0  # six taps, no entries
    integers = {name: int(value) for name, value in numbers.items()}
    choice = next(c for c in candidates("conv2d", layer.codes, True, integers)
                  if c.name == "conv2d_i8_t2_lists")
    fast, more = as_chosen(choice, tensors, numbers)

    def status(*lists: int) -> int:
        return Call(choice.name, {**fast, "w": np.array(lists, np.uint8)}, more).check()

    assert_sizes_checked(choice.name, fast, **more)
    assert status(0, 0, 0) == 0
    assert status(0, 2, 0, 11, 6, 5, 5, 5, 5, 5, 5) == 0  # also one that names a tap twice
    assert status(0, 0) != 0  # an output without a list
    assert status(0, 0, 0, 0) != 0  # a list without an output
    assert status(0, 0, 1) != 0  # an entry that is not there
    assert status(7, 0, 0, 0, 0, 0, 0, 0, 0, 0) != 0  # more entries than taps
    for code in range(256):
        kind, tap = divmod(code, 6)
        pair = dilation == (1, 1) and tap // 2 + stride[0] < 3  # positions along the rows
        assert (status(0, 0, 1, code) == 0) == (kind < 2 or (kind < 6 and pair)), code
    for name in ("in_h", "in_w", "kernel_h", "kernel_w", "stride_h", "dilation_w", "up_h", "n",
                 "in_c", "out_c", "groups", "out_h", "out_w"):  # fmt: skip
        for value in (0, 2**24 + 1, 2**31, 2**32 - 1):
            assert Call(choice.name, fast, {**more, name: value}).check() != 0, (name, value)
    for change in ({"shift": 32}, {"x_zero": 128}, {"lo": 5, "hi": 4}, {"pad_top": 2**31 - 1}):
        assert Call(choice.name, fast, {**more, **change}).check() != 0, change


@pytest.mark.parametrize("fill", [-128, 127, None])
@pytest.mark.parametrize("g", [
    Geometry(1, (9, 9), (9, 9), 64, 3, 1, (3, 3), pad=(1, 1)),  # 576 taps
    Geometry(1, (3, 7), (3, 7), 700, 3, 1, (1, 1)),
    Geometry(1, (2, 9), (2, 9), 300, 300, 1, (1, 1)),
    Geometry(1, (1, 20), (1, 17), 100, 2, 1, (1, 4)),
    Geometry(1, (20, 19), (4, 3), 2, 3, 1, (17, 17)),  # one pattern's taps are too many
], ids=["3x3", "pointwise", "square", "conv1d", "taps"])  # fmt: skip
def test_sums_beyond_a_lane_are_exact(g: Geometry, fill: int | None) -> None:
    layer, tensors, numbers = conv_case(g, 5, fill, -128, "i8_t2")
    layer.codes[0], layer.codes[1] = 1, -1
    tensors |= layer.tensors()
    assert assert_all_equal("i8_t2", layer, tensors, numbers) > 0


@given(st.integers(1, 30), st.sampled_from([3, 4]), st.integers(1, 3), st.integers(1, 4), SEEDS)
def test_conv_lut_layout_round_trips(
    channels: int, group: int, parts: int, chunk: int, seed: int
) -> None:
    codes = np.random.default_rng(seed).integers(-1, 2, (3, 2, 2, channels)).astype(np.int8)
    packed = layouts.pack_conv_lut(
        layouts.conv_lut_numbers(codes, group, parts), group, chunk)
    back = layouts.unpack_conv_lut(packed, group, parts, chunk, (3, 2, 2, channels))
    np.testing.assert_array_equal(back, codes)


@pytest.mark.parametrize("form", ["i8_t2", "i8"])
@pytest.mark.parametrize("g", [
    Geometry(2, (5, 14), (3, 7), 7, 5, 1, (3, 2), stride=(2, 2), pad=(1, 0)),
    Geometry(2, (5, 7), (5, 7), 7, 5, 1, (3, 3), pad=(1, 1)),
], ids=["strided", "3x3"])  # fmt: skip
def test_conv_check_refuses(form: str, g: Geometry) -> None:
    layer, tensors, numbers = conv_case(g, 0, None, 0, form)
    integers = {name: int(value) for name, value in numbers.items()}
    for choice in candidates("conv2d", layer.codes, form == "i8_t2", integers):
        fast, more = as_chosen(choice, tensors, numbers)
        if choice.scratch * 4 == garbage(choice.scratch).nbytes and choice.scratch_type.size == 4:
            assert_sizes_checked(choice.name, fast, **more)
        names = [
            f"{n}_{d}" for n in ("in", "out", "kernel", "stride", "dilation", "up") for d in "hw"
        ]
        names += ["n", "in_c", "out_c", "groups", *choice.numbers]
        for name in names:
            for value in (0, 2**24 + 1, 2**31, 2**32 - 1):
                hostile = Call(choice.name, fast, {**more, name: value})
                assert hostile.check() != 0 or name == "chunk", (name, value)
        for change in ({"shift": 32}, {"x_zero": 128}, {"lo": 5, "hi": 4}, {"pad_top": 2**31 - 1}):
            assert Call(choice.name, fast, {**more, **change}).check() != 0, change
        if choice.name == "conv2d_i8_t2_lut":
            # No such byte, or behind the table; of 7 channels in threes, all or in two parts:
            # fewer codes, none, more, one behind the table.
            bytes_ = (1, 2, 3, 6, 162, 255)
            words = {1: (0x08400000, 0, 0x08421000, 0x085C0000),
                     2: (0x08000000, 0, 0x08420000, 0x0B800000)}[choice.numbers["parts"]]
            for bad in bytes_ if choice.numbers["group"] == 4 else words:
                codes = choice.weights.copy()
                codes.reshape(-1)[3] = bad
                assert Call(choice.name, {**fast, "w": codes}, more).check() != 0, bad

"""Outputs over a part of their input: the kernels, run so, answer as if they were apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.isa import BY_NAME
from ternc.backends.esp32.lower.kernel_choice import candidates
from ternc.backends.esp32.overlap import Overlap, overlap
from ternc.backends.esp32.program import DType, Instruction, OperandValue, Region, Tensor
from ternc.compiler import Activations
from ternc.compiler import compile as compile_model
from ternc.oracle import Oracle
from ternc.quality import sqnr
from ternc.validation.program import program as program_checks
from tests.agreement import model
from tests.runtime.harness import Call

SETTINGS = settings(deadline=None, max_examples=60, derandomize=True)
_TYPES = {"float32": DType.F32, "int8": DType.I8, "uint8": DType.U8, "int16": DType.I16,
          "int32": DType.I32}
Array = npt.NDArray[Any]
CONVOLUTIONS = ["conv2d_f32", "conv2d_f32_w8", "conv2d_f32_t2", "conv2d_i8", "conv2d_i8_t2",
                "conv2d_i8f", "conv2d_i8f_t2", "conv2d_i16", "conv2d_i16_t2", "conv2d_i8_blocked"]
POOLS = [f"{kind}_{form}" for kind in ("maxpool", "avgpool") for form in ("f32", "i8", "i16")]


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    """An image of up to 7 x 7 under a window; as many outputs as there is room for, or fewer."""
    numbers = {"n": 1}
    for axis, edge in (("h", "top"), ("w", "left")):
        size, kernel = draw(st.integers(1, 7)), draw(st.integers(1, 4))
        stride, dilation = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
        pad = draw(st.integers(-1, kernel))
        most = (size + 2 * max(pad, 0) - (kernel - 1) * dilation - 1) // stride + 1
        assume(most >= 1)
        numbers |= {f"in_{axis}": size, f"out_{axis}": draw(st.integers(max(1, most - 1), most)),
                    f"kernel_{axis}": kernel, f"stride_{axis}": stride,
                    f"dilation_{axis}": dilation, f"pad_{edge}": pad}
    return numbers


def _integers(rng: np.random.Generator, size: int, dtype: str) -> Array:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, size, endpoint=True).astype(dtype)


def _convolution(
    name: str, numbers: dict[str, int], draw: st.DataObject, rng: np.random.Generator
) -> tuple[dict[str, Array | None], dict[str, float]]:
    """Tensors and numbers of a convolution by that kernel."""
    blocked = name == "conv2d_i8_blocked"
    groups = 1 if blocked else draw.draw(st.sampled_from([1, 1, 2]))
    in_c, out_c = (groups * draw.draw(st.integers(1, 4)) for _ in range(2))
    ups = (1, 1) if blocked else draw.draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
    full: dict[str, float] = {**numbers, "in_c": in_c, "out_c": out_c, "groups": groups,
                              "up_h": ups[0], "up_w": ups[1]}
    taps = numbers["kernel_h"] * numbers["kernel_w"] * in_c // groups
    source = "int16" if "i16" in name else "float32" if "_f32" in name else "int8"
    real = source == "float32" or "i8f" in name
    target = "float32" if real else draw.draw(st.sampled_from(["int16", "int8"])
                                              if source == "int16" else st.just("int8"))
    x_count = numbers["in_h"] * numbers["in_w"] * in_c
    y_count = numbers["out_h"] * numbers["out_w"] * out_c
    tensors: dict[str, Array | None] = {
        "x": rng.normal(size=x_count).astype(np.float32) if source == "float32"
        else _integers(rng, x_count, source),
        "y": np.zeros(y_count, target),
    }
    if name.endswith("_t2"):
        codes = rng.integers(0, 3, -(-out_c * taps // 4) * 4).astype(np.uint8)
        tensors["w"] = (codes.reshape(-1, 4) << np.array([6, 4, 2, 0], np.uint8)).sum(
            1, dtype=np.uint8)
    elif name == "conv2d_f32":
        tensors["w"] = rng.normal(size=out_c * taps).astype(np.float32)
    else:
        tensors["w"] = _integers(rng, (-(-out_c // 4) * 4 if blocked else out_c) * taps, "int8")
    scales = rng.uniform(0.5, 2.0, out_c)
    if real:
        tensors["b"] = rng.normal(size=out_c).astype(np.float32)
        full |= {"lo": -1e30, "hi": 1e30}
        if name != "conv2d_f32":
            tensors["m"] = scales.astype(np.float32)
    else:
        tensors |= {"m": (scales * 2**12).astype(np.int32) * 2, "c": _integers(rng, out_c, "int8")
                    .astype(np.int32)}
        edge = 32767 if target == "int16" else 127
        full |= {"shift": 0 if target == "int16" else 4, "lo": -edge, "hi": edge}
    if source == "int8":
        full["x_zero"] = draw.draw(st.integers(-128, 127))
    if name in ("conv2d_i8", "conv2d_i8f", "conv2d_i16"):
        tensors["w_zero"] = None
    if blocked:
        tensors |= {"scratch": np.zeros(2 * taps, np.int8), "r": None}
        full |= dict.fromkeys(("y_m", "r_m", "sum_c", "sum_shift", "sum_lo", "sum_hi"), 0)
    return tensors, full


def _pool(
    name: str, numbers: dict[str, int], draw: st.DataObject, rng: np.random.Generator
) -> tuple[dict[str, Array | None], dict[str, float]]:
    """Tensors and numbers of a pooling by that kernel."""
    channels = draw.draw(st.integers(1, 10))
    full: dict[str, float] = {**numbers, "channels": channels}
    dtype = {"f32": "float32", "i8": "int8", "i16": "int16"}[name.split("_")[1]]
    count = numbers["in_h"] * numbers["in_w"] * channels
    tensors: dict[str, Array | None] = {
        "x": rng.normal(size=count).astype(np.float32) if dtype == "float32"
        else _integers(rng, count, dtype),
        "y": np.zeros(numbers["out_h"] * numbers["out_w"] * channels, dtype)}
    if name.startswith("avgpool"):
        full |= {"pad_bottom": 1, "pad_right": 1, "include_pad": draw.draw(st.integers(0, 1))}
        if dtype != "float32":
            taps = numbers["kernel_h"] * numbers["kernel_w"]
            edge = np.iinfo(dtype).max
            tensors["m"] = np.array([2**16 // (i + 1) for i in range(taps)], np.int32)
            full |= {"m_count": taps, "c": 0, "shift": 0, "lo": -edge, "hi": edge}
        if dtype == "int8":
            full["x_zero"] = draw.draw(st.integers(-128, 127))
    return tensors, full


def _overlap(name: str, tensors: Mapping[str, Array | None], numbers: Mapping[str, float]
             ) -> Overlap | None:
    places = {key: None if array is None else Tensor(
        key, _TYPES[array.dtype.name], array.shape,
        Region.SCRATCH if key in ("x", "y", "scratch") else Region.CONSTANT)
        for key, array in tensors.items()}
    values: dict[str, OperandValue] = {**places, **numbers}
    opcode = BY_NAME[name]
    return overlap(Instruction(opcode, tuple(values[o.name] for o in opcode.operands), "a", "A"))


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *POOLS])
@SETTINGS
@given(numbers=windows(), draw=st.data(), seed=st.integers(0, 99))
def test_same_bytes_over_the_input(
    name: str, numbers: dict[str, int], draw: st.DataObject, seed: int
) -> None:
    """At the least distance on either side, the whole as one range of rows."""
    make = _pool if "pool" in name else _convolution
    tensors, full = make(name, numbers, draw, np.random.default_rng(seed))
    over = _overlap(name, tensors, full)
    assume(over is not None)
    assert over is not None
    apart = Call(name, tensors, full)
    assert apart.check() == 0
    expected = apart.run([(0, apart.rows or 1)], 0xA5)["y"]
    for distance in (-over.ahead, over.behind):
        shared = Call(name, tensors, full, over={"y": ("x", distance)})
        assert shared.check() == 0
        got = shared.run([(0, shared.rows or 1)], 0xA5)["y"]
        np.testing.assert_array_equal(got, expected, f"{distance} of {over}")


def _pooling(x: int, y: int, kernel: int, stride: int, pad: int, images: int = 1
             ) -> Overlap | None:
    numbers = {"in_h": 1, "in_w": x, "out_h": 1, "out_w": y, "kernel_h": 1, "kernel_w": kernel,
               "stride_h": 1, "stride_w": stride, "dilation_h": 1, "dilation_w": 1, "n": images,
               "channels": 1, "pad_top": 0, "pad_left": pad}
    tensors = {"x": np.zeros(images * x, np.int8), "y": np.zeros(images * y, np.int8)}
    return _overlap("maxpool_i8", tensors, numbers)


def test_distances() -> None:
    """A row of bytes, maxima of three: an output is written when one more input may be lost."""
    over = _pooling(8, 8, kernel=3, stride=1, pad=1)
    assert over is not None
    assert (over.ahead, over.behind) == (2, 2)
    assert over.saved == 6
    assert over.allows(2, 0)
    assert over.allows(0, 2)
    assert not over.allows(1, 0)
    assert not over.allows(0, 1)
    halves = _pooling(8, 4, kernel=2, stride=2, pad=0)
    assert halves is not None
    assert (halves.ahead, halves.behind, halves.saved) == (1, 5, 3)


@SETTINGS
@given(numbers=windows(), channels=st.integers(1, 9), ternary=st.booleans(),
       seed=st.integers(0, 99))
def test_fewer_pixels_where_the_input_begins(
    numbers: dict[str, int], channels: int, ternary: bool, seed: int
) -> None:
    """A depthwise kernel has read of x what its channel overwrites."""
    rng = np.random.default_rng(seed)
    taps = numbers["kernel_h"] * numbers["kernel_w"]
    codes = rng.integers(-1, 2, (channels, taps)).astype(np.int8)
    covered = [(numbers[f"out_{a}"] - 1) * numbers[f"stride_{a}"]
               + (numbers[f"kernel_{a}"] - 1) * numbers[f"dilation_{a}"] + 1 for a in "hw"]
    geometry = {**numbers, "in_c": channels, "out_c": channels, "groups": channels, "up_h": 1,
                "up_w": 1}
    name = "conv2d_i8_depthwise"
    w: Array = codes
    scratch: Array = np.zeros(covered[0] * covered[1], np.int8)
    if ternary:
        (choice,) = (c for c in candidates("conv2d", codes.reshape(
            channels, numbers["kernel_h"], numbers["kernel_w"], 1), True, geometry)
            if c.name == "conv2d_i8_t2_taps")
        name, w = choice.name, choice.weights
        scratch = np.zeros(4 * choice.scratch // choice.scratch_type.size,
                           choice.scratch_type.numpy)
        geometry |= choice.numbers
    shape = numbers["in_h"] * numbers["in_w"] * channels
    tensors: dict[str, Array | None] = {
        "x": _integers(rng, shape, "int8"), "w": w, "scratch": scratch,
        "m": np.full(channels, 2**17, np.int32), "c": np.zeros(channels, np.int32),
        "y": np.zeros(numbers["out_h"] * numbers["out_w"] * channels, np.int8)}
    full = {**geometry, "x_zero": 3, "shift": 3, "lo": -128, "hi": 127}
    over = _overlap(name, tensors, full)
    assume(over is not None)
    assert over is not None
    assert over.allows(64, 64)
    assert not over.allows(64, 65)
    apart, shared = Call(name, tensors, full), Call(name, tensors, full, over={"y": ("x", 0)})
    assert apart.check() == shared.check() == 0
    expected = apart.run([(0, 1)], 0xA5)["y"]
    np.testing.assert_array_equal(shared.run([(0, 1)], 0xA5)["y"], expected)


def test_a_window_on_the_whole_input_shares_nothing() -> None:
    assert _pooling(8, 1, kernel=8, stride=1, pad=0) is None


def test_several_images_are_apart() -> None:
    """The form of avgpool_i8 for one window walks them in an order of its own."""
    assert _pooling(8, 8, kernel=3, stride=1, pad=1, images=2) is None


@pytest.mark.parametrize("activations", ["float32", "int16"])
def test_a_chain_of_convolutions_takes_little_more_than_its_largest_tensor(
    activations: Activations,
) -> None:
    """Each output lies over its input, ahead and behind in turn: the rows do not add up."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return (0.3 * rng.normal(size=shape)).astype(np.float32)

    chain = model(
        "g (float[1,1,16,16] x) => (float[1,8,1,1] y) { a=Conv<pads=[1,1,1,1]>(x,u) b=Relu(a)"
        " c=Conv<group=8,pads=[1,1,1,1]>(b,d) e=Relu(c) f=Conv<pads=[1,1,1,1]>(e,v) h=Relu(f)"
        " i=Conv<pads=[1,1,1,1]>(h,w) j=Relu(i) y=GlobalAveragePool(j) }",
        u=weights(8, 1, 3, 3), d=weights(8, 1, 3, 3), v=weights(8, 8, 3, 3),
        w=weights(8, 8, 3, 3))
    samples = rng.normal(size=(16, 1, 16, 16)).astype(np.float32)
    compiled = compile_model(
        chain, "esp32c3", calibration_data=None if activations == "float32" else samples,
        activations=activations)
    pixel = 8 * (4 if activations == "float32" else 2)
    assert compiled.plan.arena_bytes == (16 * 16 + 16 + 2) * pixel  # a row, and two pixels
    assert compiled.plan.arena_bytes == compiled.plan.lower_bound_bytes
    assert not any(check.failed for check in program_checks(compiled))
    oracle = Oracle(compiled.model)
    got = [compiled.run({"x": sample[None]})["y"] for sample in samples]
    assert sqnr([oracle.run({"x": sample[None]})["y"] for sample in samples], got) > 70
    over = next(o for item in compiled.program.instructions if (o := overlap(item)) is not None)
    assert over.target.offset is not None
    assert over.source.offset is not None
    over.target.offset -= pixel if over.target.offset > over.source.offset else -pixel
    compiled.blob = encode(compiled.program)
    assert [check.name for check in program_checks(compiled) if check.failed] == ["memory plan"]

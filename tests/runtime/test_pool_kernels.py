"""Pooling kernels against onnxruntime, and the int8 ones against their formula."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.runtime.calling import output
from tests.runtime.harness import Array, Call, assert_sizes_checked

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pool:
    """One pooling layer as ONNX describes it; pairs are (height, width)."""

    size: tuple[int, int]
    batch: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    begin: tuple[int, int]
    end: tuple[int, int]
    ceil: bool

    def numbers(self, out: tuple[int, int]) -> dict[str, int]:
        names = {
            "in": self.size, "out": out, "kernel": self.kernel, "stride": self.stride,
            "dilation": self.dilation,
        }  # fmt: skip
        numbers = {"n": self.batch, "channels": self.channels}
        for name, (height, width) in names.items():
            numbers |= {f"{name}_h": height, f"{name}_w": width}
        return numbers | {"pad_top": self.begin[0], "pad_left": self.begin[1]}

    def positions(self, axis: int, index: int, padded: bool = False) -> list[int]:
        """Coordinates under the window of one output, in the image or the padded image."""
        low = -self.begin[axis] if padded else 0
        high = self.size[axis] + (self.end[axis] if padded else 0)
        start = index * self.stride[axis] - self.begin[axis]
        step = self.dilation[axis]
        reach = range(start, start + self.kernel[axis] * step, step)
        return [at for at in reach if low <= at < high]

    def ends(self) -> dict[str, int]:
        return {"pad_bottom": self.end[0], "pad_right": self.end[1]}


def _pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    kernel = draw(_pair(1, 4))
    size = draw(_pair(1, 9))
    dilation = draw(st.just((1, 1)) | _pair(1, 3))
    # onnxruntime wants pads smaller than the kernel, and at least one position.
    begin, end = (tuple(draw(st.integers(0, k - 1)) for k in kernel) for _ in range(2))
    for i in range(2):
        assume(size[i] + begin[i] + end[i] >= (kernel[i] - 1) * dilation[i] + 1)
    return Pool(
        size, draw(st.integers(1, 2)), draw(st.sampled_from([1, 3, 8, 11])), kernel,
        draw(_pair(1, 4)), dilation, (begin[0], begin[1]), (end[0], end[1]), draw(st.booleans()),
    )  # fmt: skip


@functools.cache
def _session(op: str, attributes: tuple[tuple[str, int | tuple[int, ...]], ...]) -> object:
    value = functools.partial(helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    node = helper.make_node(op, ["x"], ["y"], name="pool")
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes)
    graph = helper.make_graph(
        [node], "pool", [value("x", shape=list("nchw"))], [value("y", shape=list("NCHW"))]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _reference(op: str, pool: Pool, x: F32, **more: int) -> F32:
    """onnxruntime's answer, NHWC in and out."""
    attributes: dict[str, int | tuple[int, ...]] = {
        "kernel_shape": pool.kernel, "strides": pool.stride, "dilations": pool.dilation,
        "pads": pool.begin + pool.end, "ceil_mode": int(pool.ceil), **more,
    }  # fmt: skip
    session = _session(op, tuple(sorted(attributes.items())))
    answer: F32 = session.run(None, {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0]  # type: ignore[attr-defined]
    return np.ascontiguousarray(answer.transpose(0, 2, 3, 1))


def _image(pool: Pool, seed: int) -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (pool.batch, *pool.size, pool.channels)).astype(np.int8)


@settings(max_examples=80, deadline=None)
@given(pools(), st.integers(0, 2**32 - 1))
def test_maxpool_is_onnxruntime(pool: Pool, seed: int) -> None:
    x = _image(pool, seed)
    real = x.astype(np.float32) / np.float32(7)
    expected = _reference("MaxPool", pool, real)
    numbers = pool.numbers((expected.shape[1], expected.shape[2]))
    tensors: dict[str, Array] = {"x": real, "y": np.zeros_like(expected)}
    y = output("maxpool_f32", tensors, numbers)
    np.testing.assert_array_equal(y, expected)
    assert_sizes_checked("maxpool_f32", tensors, **numbers)
    tensors_i8: dict[str, Array] = {"x": x, "y": np.zeros(expected.shape, np.int8)}
    y_i8 = output("maxpool_i8", tensors_i8, numbers)
    level = np.rint(np.maximum(expected, -128 / 7) * 7)
    np.testing.assert_array_equal(y_i8, level)
    assert_sizes_checked("maxpool_i8", tensors_i8, **numbers)


def _taps(pool: Pool, out: tuple[int, int], include_pad: int) -> npt.NDArray[np.int64]:
    """Divisor of every output position, counted one by one."""
    counts = np.zeros(out, np.int64)
    for row, column in np.ndindex(*out):
        inside = [0, 0]
        for axis, index in enumerate((row, column)):
            inside[axis] = len(pool.positions(axis, index, bool(include_pad)))
        counts[row, column] = inside[0] * inside[1]
    return counts


@settings(max_examples=120, deadline=None)
@given(pools(), st.integers(0, 1), st.booleans(), st.integers(0, 2**32 - 1))
def test_avgpool_is_onnxruntime(pool: Pool, include_pad: int, one: bool, seed: int) -> None:
    x = _image(pool, seed)
    real = x.astype(np.float32) / np.float32(7)
    expected = _reference("AveragePool", pool, real, count_include_pad=include_pad)
    out = (expected.shape[1], expected.shape[2])
    numbers = pool.numbers(out) | pool.ends() | {"include_pad": include_pad}
    tensors: dict[str, Array] = {"x": real, "y": np.zeros_like(expected)}
    y = output("avgpool_f32", tensors, numbers)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    assert_sizes_checked("avgpool_f32", tensors, **numbers)

    # int8: sums of x - x_zero, exactly; then m[divisor - 1], or m[0] when there is just one.
    zero = int(np.random.default_rng(seed).integers(-128, 128))
    divisors = _taps(pool, out, include_pad)
    sums = np.zeros((pool.batch, *out, pool.channels), np.int64)
    for row, column in np.ndindex(*out):
        at = [pool.positions(axis, index) for axis, index in enumerate((row, column))]
        window = x[:, at[0]][:, :, at[1]].astype(np.int64) - zero
        sums[:, row, column] = window.sum(axis=(1, 2))
    count = 1 if one else pool.kernel[0] * pool.kernel[1]
    m = (2**26 // (1 + np.arange(count))).astype(np.int32)
    scale = m[np.zeros_like(divisors) if one else np.maximum(divisors - 1, 0)].astype(np.int64)
    c, shift = 5 << 9, 10
    level = np.clip((sums * scale[:, :, None] + (c << 16)) >> (16 + shift), -120, 127)
    numbers |= {"x_zero": zero, "m_count": count, "c": c, "shift": shift, "lo": -120, "hi": 127}
    quantized: dict[str, Array] = {"x": x, "m": m, "y": np.zeros(expected.shape, np.int8)}
    y = output("avgpool_i8", quantized, numbers)
    np.testing.assert_array_equal(y, level)
    assert_sizes_checked("avgpool_i8", quantized, **numbers)


_GOOD = Pool((4, 5), 1, 2, (2, 2), (1, 1), (1, 1), (0, 0), (0, 0), False)


@pytest.mark.parametrize(
    "change",
    [
        {"kernel_h": 0}, {"stride_w": 0}, {"dilation_h": 0}, {"kernel_w": 2**31}, {"n": 2},
        {"pad_top": 2**31 - 1}, {"pad_left": -(2**31)}, {"out_h": 2**31, "stride_h": 2**31},
        {"out_w": 5}, {"in_h": 2**32 - 1, "in_w": 2**32 - 1}, {"channels": 2**32 - 1},
        {"stride_h": 2**31}, {"dilation_w": 2**32 - 1},
    ],
)  # fmt: skip
def test_pools_refuse_hostile_windows(change: dict[str, int]) -> None:
    x = np.zeros((1, 4, 5, 2), np.float32)
    numbers = _GOOD.numbers((3, 4))
    tensors: dict[str, Array] = {"x": x, "y": np.zeros((1, 3, 4, 2), np.float32)}
    assert Call("maxpool_f32", tensors, numbers).check() == 0
    assert Call("maxpool_f32", tensors, numbers | change).check() != 0
    more = _GOOD.ends() | {"include_pad": 1}
    assert Call("avgpool_f32", tensors, numbers | more).check() == 0
    assert Call("avgpool_f32", tensors, numbers | more | change).check() != 0
    assert Call("avgpool_f32", tensors, numbers | more | {"pad_right": 2**31 - 1}).check() != 0
    assert Call("avgpool_f32", tensors, numbers | more | {"pad_bottom": -(2**31)}).check() != 0


def test_avgpool_i8_refuses_too_few_multipliers() -> None:
    tensors: dict[str, Array] = {
        "x": np.zeros((1, 4, 5, 2), np.int8), "m": np.zeros(4, np.int32),
        "y": np.zeros((1, 3, 4, 2), np.int8),
    }  # fmt: skip
    numbers = _GOOD.numbers((3, 4)) | _GOOD.ends() | {"include_pad": 1, "x_zero": 0, "c": 0}
    numbers |= {"m_count": 4, "shift": 0, "lo": -128, "hi": 127}
    assert Call("avgpool_i8", tensors, numbers).check() == 0
    for change in (
        {"m_count": 3}, {"m_count": 0}, {"m_count": 5}, {"x_zero": 128}, {"shift": 47},
        {"kernel_h": 2**16, "kernel_w": 2**16, "m_count": 1},
    ):  # fmt: skip
        assert Call("avgpool_i8", tensors, numbers | change).check() != 0, change


def test_minus_infinity_is_the_largest_of_itself() -> None:
    x = np.full((1, 4, 5, 2), -np.inf, np.float32)
    x[:, :, :, 1] = np.finfo(np.float32).min
    y = np.zeros((1, 3, 4, 2), np.float32)
    result = output("maxpool_f32", {"x": x, "y": y}, _GOOD.numbers((3, 4)))
    assert (result[..., 0] == -np.inf).all()
    assert (result[..., 1] == np.finfo(np.float32).min).all()


def test_a_window_far_outside_the_image_is_empty() -> None:
    x = np.ones((1, 4, 5, 2), np.float32)
    numbers = _GOOD.numbers((3, 4)) | {"pad_top": 1000, "pad_left": -1000}
    y = np.zeros((1, 3, 4, 2), np.float32)
    lowest = np.finfo(np.float32).min
    assert (output("maxpool_f32", {"x": x, "y": y}, numbers) == lowest).all()
    numbers |= _GOOD.ends() | {"include_pad": 0}
    assert (output("avgpool_f32", {"x": x, "y": y}, numbers) == 0).all()

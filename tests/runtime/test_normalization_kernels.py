"""Softmax and layer normalization: the float kernels against onnxruntime, the int8 ones against
their integer definition and, within one level, against float mathematics."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.runtime.calling import output
from tests.runtime.harness import Array, Call, assert_sizes_checked

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I32 = npt.NDArray[np.int32]

_seeds = st.integers(0, 2**32 - 1)


def _onnxruntime(op: str, feeds: dict[str, F32], axis: int, **attributes: float) -> F32:
    value = helper.make_tensor_value_info
    node = helper.make_node(op, list(feeds), ["y"], axis=axis)
    node.attribute.extend(helper.make_attribute(name, x) for name, x in attributes.items())
    graph = helper.make_graph(
        [node], "g",
        [value(name, onnx.TensorProto.FLOAT, x.shape) for name, x in feeds.items()],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answer: F32 = session.run(None, feeds)[0]
    return answer


def _close(a: F32, b: F32, tolerance: float = 1e-5) -> None:
    assert np.abs(a - b).max() <= tolerance * max(float(np.abs(b).max()), 1e-6)


# float32
# -------


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 10, 33, 400]), st.integers(1, 3),
    st.booleans(), st.sampled_from([0.1, 3.0, 60.0]), _seeds,
)  # fmt: skip
def test_softmax_f32_is_onnxruntime(
    outer: int, n: int, inner: int, log: bool, spread: float, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(0, spread, (outer, n, inner)).astype(np.float32)
    numbers = {"outer": outer, "n": n, "inner": inner, "log": int(log)}
    y = output("softmax_f32", {"x": x, "y": x}, numbers)
    expected = _onnxruntime("LogSoftmax" if log else "Softmax", {"x": x}, axis=1)
    _close(y, expected)
    in_place = output("softmax_f32", {"x": x, "y": x}, numbers, "x")
    np.testing.assert_array_equal(in_place, y)
    assert_sizes_checked("softmax_f32", {"x": x, "y": x}, **numbers)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 10, 64, 1000, 4096]),
    st.sampled_from([0.0, 2.0, 50.0]), _seeds,
)  # fmt: skip
@example(2, 2, 50.0, 408414836)  # deviations far smaller than the mean's rounding
def test_layernorm_f32_is_onnxruntime(outer: int, n: int, centre: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(centre, 1, (outer, n)).astype(np.float32)
    gamma, beta = rng.normal(size=(2, n)).astype(np.float32)
    exact = x.astype(np.float64) - x.mean(axis=1, keepdims=True, dtype=np.float64)
    exact /= np.sqrt((exact**2).mean(axis=1, keepdims=True) + 1e-5)
    expected = (exact * gamma + beta).astype(np.float32)
    if n > 1 and centre == 0:
        feeds = {"x": x, "scale": gamma, "b": beta}
        _close(_onnxruntime("LayerNormalization", feeds, axis=-1, epsilon=1e-5), expected)
    numbers = {"outer": outer, "n": n, "epsilon": 1e-5}
    tensors: dict[str, Array] = {"x": x, "gamma": gamma, "beta": beta, "y": x}
    y = output("layernorm_f32", tensors, numbers)
    _close(y, expected, 1e-5)
    in_place = output("layernorm_f32", tensors, numbers, "x")
    np.testing.assert_array_equal(in_place, y)
    assert_sizes_checked("layernorm_f32", tensors, **numbers)
    bare = output("layernorm_f32", {**tensors, "gamma": None, "beta": None}, numbers)
    _close(bare, exact.astype(np.float32), 1e-5 if centre == 0 else 2e-5)


# int8 softmax
# ------------


def _exponentials(scale: float) -> I32:
    """exp(-d*scale) for every difference d of two int8 values, in units of 2^-24."""
    table: I32 = np.rint(np.exp(-np.arange(256) * scale) * 2**24).astype(np.int32)
    return table


def _softmax_i8(x: I8, table: I32, multiplier: int, zero: int) -> I8:
    """The synopsis, in Python's unbounded integers, over axis 1."""
    entries = table.view(np.uint32)[x.max(axis=1, keepdims=True).astype(np.int64) - x]
    total = entries.astype(object).sum(axis=1, keepdims=True)
    level = (entries.astype(object) * multiplier + total * 2**15) // (total * 2**16)
    answer: I8 = np.clip((level + zero).astype(np.int64), -128, 127).astype(np.int8)
    return answer


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 10, 300, 1500]), st.integers(1, 3),
    st.floats(0.005, 0.4), _seeds,
)  # fmt: skip
def test_softmax_i8_is_the_formula_and_within_one_level_of_float(
    outer: int, n: int, inner: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0, 40, (outer, n, inner)), -128, 127).astype(np.int8)
    table = _exponentials(scale)
    out_scale, zero = (1 / 256, -128) if seed % 2 else (1 / 127, 0)
    numbers = {"outer": outer, "n": n, "inner": inner, "zero": zero, "lo": -128, "hi": 127}
    numbers["multiplier"] = round(2**16 / out_scale)
    tensors: dict[str, Array] = {"x": x, "table": table, "y": x}
    y = output("softmax_i8", tensors, numbers)
    np.testing.assert_array_equal(y, _softmax_i8(x, table, numbers["multiplier"], zero))
    in_place = output("softmax_i8", tensors, numbers, "x")
    np.testing.assert_array_equal(in_place, y)
    powers = np.exp(x * scale)
    real = powers / powers.sum(axis=1, keepdims=True)
    level = np.clip(np.rint(real / out_scale) + zero, -128, 127)
    assert np.abs(y - level).max() <= 1
    assert (y != level).mean() <= 0.02 + 1 / y.size  # and almost always the same
    assert_sizes_checked("softmax_i8", tensors, **numbers)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), st.integers(1, 40), _seeds)
def test_softmax_i8_with_any_table_computes_the_formula_or_refuses(
    multiplier: int, most: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, most, 256, np.uint32, endpoint=True)
    table[0] = most
    signed = table.view(np.int32)
    x = rng.integers(-128, 128, (1, n, 1)).astype(np.int8)
    tensors: dict[str, Array] = {"x": x, "table": signed, "y": x}
    numbers = {"outer": 1, "n": n, "inner": 1, "zero": -5, "lo": -128, "hi": 127}
    numbers["multiplier"] = multiplier
    fits = n * most < 2**48 and most * multiplier + n * most * 2**15 < 2**64
    assert (Call("softmax_i8", tensors, numbers).check() == 0) == fits
    if fits:
        y = output("softmax_i8", tensors, numbers)
        np.testing.assert_array_equal(y, _softmax_i8(x, signed, multiplier, -5))


def test_softmax_i8_refuses_a_table_that_could_sum_to_zero() -> None:
    x = np.zeros((1, 4, 1), np.int8)
    table = np.zeros(256, np.int32)
    numbers = {"outer": 1, "n": 4, "inner": 1, "multiplier": 1, "zero": 0, "lo": 0, "hi": 1}
    tensors: dict[str, Array] = {"x": x, "table": table, "y": x}
    assert Call("softmax_i8", tensors, numbers).check() != 0
    table[1:] = 1
    assert Call("softmax_i8", tensors, numbers).check() != 0
    table[0] = 1
    assert Call("softmax_i8", tensors, numbers).check() == 0
    assert Call("softmax_i8", tensors, numbers | {"outer": 2**32 - 1}).check() != 0


# int8 layer normalization
# ------------------------


def _layernorm_i8(
    x: I8, m: I32, c: I32, epsilon: int, shift: int
) -> I8:
    """The integer definition in unbounded integers."""
    n = x.shape[1]
    rows = []
    for row in x.astype(object):
        total = sum(row)
        v = n * sum(row * row) - total * total + epsilon
        k, q = 0, 0
        if v > 0:
            while (v << (2 * k)) < 2**62:
                k += 1
            q = 2**63 // math.isqrt(v << (2 * k))
        a = [((n * value - total) * q) >> (51 - k) for value in row]
        exact = [(n * int(value) - int(total)) * 4096 / math.sqrt(v or 1) for value in row]
        assert np.abs(np.floor(exact) - np.array(a, float)).max(initial=0) <= 1
        rows.append(a)
    normal = np.array(rows, np.int64).reshape(x.shape)
    level = (normal * m.astype(np.int64) + (c.astype(np.int64) << 16)) >> (16 + shift)
    answer: I8 = np.clip(level, -128, 127).astype(np.int8)
    return answer


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 3, 10, 64, 700, 4096]),
    st.sampled_from([0, 1, 1000, 2**31, 2**33 + 5, 2**45, 2**62 - 1]),
    st.sampled_from(["wide", "narrow", "constant", "extreme", "one"]), _seeds,
)  # fmt: skip
def test_layernorm_i8_is_the_definition(
    outer: int, n: int, epsilon: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = {
        "wide": rng.integers(-128, 128, (outer, n)),
        "narrow": rng.integers(-2, 2, (outer, n)) + 100,
        "constant": np.full((outer, n), -128),
        "extreme": rng.choice([-128, 127], (outer, n)),
        "one": np.where(np.arange(n) == n - 1, 127, np.full((outer, n), -128)),
    }[kind].astype(np.int8)
    m = rng.integers(-(2**31), 2**31, n).astype(np.int32)
    c = rng.integers(-(2**31), 2**31, n).astype(np.int32)
    shift = int(rng.integers(10, 30))
    numbers = {"outer": outer, "n": n, "shift": shift, "lo": -128, "hi": 127}
    numbers |= {"epsilon_lo": epsilon & 0xFFFFFFFF, "epsilon_hi": epsilon >> 32}
    tensors: dict[str, Array] = {"x": x, "m": m, "c": c, "y": x}
    expected = _layernorm_i8(x, m, c, epsilon, shift)
    y = output("layernorm_i8", tensors, numbers)
    np.testing.assert_array_equal(y, expected)
    in_place = output("layernorm_i8", tensors, numbers, "x")
    np.testing.assert_array_equal(in_place, y)
    assert_sizes_checked("layernorm_i8", tensors, **numbers)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8, 64, 256, 768, 4096]), st.floats(0.002, 0.2), st.integers(-128, 127),
    st.sampled_from([1e-12, 1e-5, 1e-3]), st.floats(3, 100), _seeds,
)  # fmt: skip
def test_layernorm_i8_is_within_one_level_of_float(
    n: int, scale: float, zero: int, epsilon: float, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(zero, spread, (4, n)), -128, 127).astype(np.int8)
    gamma, beta = rng.normal(1, 0.3, n), rng.normal(0, 0.5, n)
    real = (x.astype(np.float64) - zero) * scale
    centred = real - real.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon) * gamma + beta
    out_scale, out_zero = float(np.abs(expected).max()) / 127, 3
    level = np.clip(np.rint(expected / out_scale) + out_zero, -128, 127)
    # a*2^-12 is (x - mean)/sqrt(n^2 var)*n, whatever the scale; the rest is the requantization's.
    shift = 14
    m = np.rint(gamma / out_scale / 4096 * 2 ** (16 + shift)).astype(np.int32)
    c = np.rint((beta / out_scale + out_zero + 0.5) * 2**shift).astype(np.int32)
    bits = round(epsilon / scale**2 * n**2)
    numbers = {"outer": 4, "n": n, "shift": shift, "lo": -128, "hi": 127}
    numbers |= {"epsilon_lo": bits & 0xFFFFFFFF, "epsilon_hi": bits >> 32}
    y = output("layernorm_i8", {"x": x, "m": m, "c": c, "y": x}, numbers)
    assert np.abs(y - level).max() <= 1
    assert (y != level).mean() <= 0.03 + 1 / y.size


@pytest.mark.parametrize(
    "change",
    [{"n": 4097}, {"epsilon_hi": 2**30}, {"shift": 47}, {"hi": 128}, {"outer": 2**32 - 1}],
)
def test_layernorm_i8_refuses(change: dict[str, int]) -> None:
    x = np.zeros((1, 5000), np.int8)
    m = np.zeros(5000, np.int32)
    numbers = {"outer": 1, "n": 4096, "epsilon_lo": 0, "epsilon_hi": 2**30 - 1}
    numbers |= {"shift": 46, "lo": -128, "hi": 127}
    tensors: dict[str, Array] = {"x": x, "m": m, "c": m, "y": x}
    assert Call("layernorm_i8", tensors, numbers).check() == 0
    assert Call("layernorm_i8", tensors, numbers | change).check() != 0

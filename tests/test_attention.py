"""Attention in integers: what is masked does not count, and shares among many are not lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import ternc
from ternc.calibrate import calibrate
from ternc.oracle import Oracle

TOKENS, WIDTH = 12, 16


def attention(
    mask: float, *, runtime: bool = False, tokens: int = TOKENS, sharpness: float = 1.0,
) -> onnx.ModelProto:
    """softmax(sharpness QKᵀ + mask) V of one head, each token seeing those before it."""
    rng = np.random.default_rng(0)
    inputs = f"float[1,{tokens},{WIDTH}] x" + f", float[{tokens},{tokens}] m" * runtime
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 21]>
        g ({inputs}) => (float[1,{tokens},{WIDTH}] y) {{
          q = MatMul(x, wq)  k = MatMul(x, wk)  v = MatMul(x, wv)
          kt = Transpose<perm=[0,2,1]>(k)  qk = MatMul(q, kt)
          s = Add(qk, m)  p = Softmax<axis=-1>(s)  y = MatMul(p, v) }}""")
    for name, scale in (("wq", sharpness / WIDTH), ("wk", WIDTH**-0.5), ("wv", WIDTH**-0.5)):
        weights = rng.normal(scale=scale, size=(WIDTH, WIDTH)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    if not runtime:
        model.graph.initializer.append(onnx.numpy_helper.from_array(triangle(mask, tokens), "m"))
    return model


def triangle(mask: float, tokens: int = TOKENS) -> np.ndarray:
    """`mask` above the diagonal, 0 elsewhere."""
    rows, columns = np.indices((tokens, tokens))
    return np.where(columns > rows, mask, 0).astype(np.float32)


def samples(count: int, tokens: int = TOKENS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, tokens, WIDTH)).astype(np.float32)


def quality(model: onnx.ModelProto, activations: Any, **more: np.ndarray) -> float:
    """SQNR of the compiled model's output, in dB, on new tokens."""
    count = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    calibration: dict[str, np.ndarray] = {"x": samples(64, count)}
    calibration |= {name: np.repeat(value[None], 64, 0) for name, value in more.items()}
    compiled = ternc.compile(model, calibration_data=calibration, activations=activations)
    oracle, signal, noise = Oracle(model), [], []
    for x in samples(96, count)[64:]:
        feed = {"x": x[None], **more}
        expected = oracle.run(feed, ["y"])["y"]
        signal.append(expected)
        noise.append(compiled.run(feed)["y"] - expected)
    power = np.square(np.concatenate(signal)).mean() / np.square(np.concatenate(noise)).mean()
    return float(10 * np.log10(power))


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("mask", [-np.inf, -1e9, -1e4])
def test_a_mask_costs_nothing(mask: float, activations: str) -> None:
    without = quality(attention(0.0), activations)
    assert without > {"int8": 29, "int16": 41}[activations]
    assert quality(attention(mask), activations) > without - 0.5


@pytest.mark.parametrize("mask", [-1e9, -1e4])
def test_a_mask_of_run_time(mask: float) -> None:
    assert quality(attention(mask, runtime=True), "int8", m=triangle(mask)) > 29


def test_shares_among_many() -> None:
    """Of 256 tokens each gets about 1/256, which is one step of the usual scale."""
    assert quality(attention(0.0, tokens=256, sharpness=0.2), "int8") > 30


def test_the_range_is_what_the_softmax_can_tell_apart() -> None:
    feeds = [{"x": x[None]} for x in samples(16)]
    found = [calibrate(attention(mask), feeds, ["s"])["s"] for mask in (-np.inf, -1e9)]
    assert found[0] == found[1]
    (low, high), oracle = found[0], Oracle(attention(0.0))
    scores = np.concatenate([oracle.run(feed, ["s"])["s"] for feed in feeds])
    seen = scores[:, triangle(1) == 0]
    bound = np.log(512 * TOKENS)
    assert seen.min() - bound <= low <= seen.max() - bound
    assert high == pytest.approx(seen.max(), rel=1e-3)


def test_minus_infinity_alone_is_a_mask() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[4] x) => (float[4] y) { l = Log(x)  y = Identity(l) }""")
    feed = {"x": np.array([0, 1, 1, 0], np.float32)}
    low, high = calibrate(model, [feed], ["l"])["l"]
    assert low < -1e3
    assert high == 0

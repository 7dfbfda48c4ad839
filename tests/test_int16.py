"""int16 activations: calibrated, imported and mixed with int8, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ternc import compiler as ternc
from ternc.compiled import CompiledModel
from ternc.diagnostics import CompileError, UsageError
from ternc.feeds import input_specs, random_feeds
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from ternc.quality import sqnr
from tests.agreement import Array, bytes_, check, feeds, floats, instructions, model
from tests.graphs import graphs

SETTINGS = settings(deadline=None, max_examples=150, derandomize=True,
                    suppress_health_check=list(HealthCheck))
SMALL = """g (float[1,3,8,8] x) => (float[1,5] y) {
    c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) f = Flatten(r) y = Gemm<transB=1>(f, v, e) }"""


def small(*, ternary: bool = False) -> onnx.ModelProto:
    """Conv, Relu and Gemm."""
    w, v = floats(4, 3, 3, 3), floats(5, 256) / 16
    if ternary:
        w, v = np.sign(np.rint(w)) * np.float32(0.3), np.sign(np.rint(16 * v)) * np.float32(0.05)
    named = model(SMALL, w=w, b=floats(4), v=v, e=floats(5))
    for node in named.graph.node:
        node.name = node.op_type.lower()
    return named


def samples(proto: onnx.ModelProto, count: int = 8) -> list[dict[str, Array]]:
    """Feeds of noise."""
    return list(random_feeds(input_specs(proto), count, seed=5))


def quality(
    compiled: CompiledModel, wanted: onnx.ModelProto, data: list[dict[str, Array]]
) -> float:
    """SQNR of the first output against `wanted` in onnxruntime, in dB."""
    oracle = Oracle(wanted)
    name = oracle.outputs[0]
    return sqnr([oracle.run(feed)[name] for feed in data],
                [compiled.run(feed)[name] for feed in data])


@pytest.mark.parametrize("ternary", [False, True])
def test_runs_in_integers_and_gains_over_int8(ternary: bool) -> None:
    proto = small(ternary=ternary)
    data = samples(proto)
    narrow = ternc.compile(proto, "host", calibration_data=data, activations="int8")
    wide = ternc.compile(proto, "host", calibration_data=data, activations="int16")
    conv = "conv2d_i16_t2" if ternary else "conv2d_i16"
    assert instructions(wide) == ["copy_nd", conv, "dense_i16"]
    for result in check_layers(wide.model, data[:3]):
        assert result.worst <= 1, result
    gain = quality(wide, proto, data) - quality(narrow, proto, data)
    assert gain > (30 if ternary else 3)  # int8 weights have errors of their own


def test_inputs_and_outputs_are_int16() -> None:
    proto = small()
    compiled = ternc.compile(proto, "host", calibration_data=samples(proto), activations="int16")
    for port in (*compiled.program.inputs, *compiled.program.outputs):
        assert port.tensor.dtype.numpy == np.int16
        assert port.zero_point == 0
        assert port.scale
    floating = ternc.compile(proto, "host", calibration_data=samples(proto), activations="int16",
                             io="float")
    assert {p.tensor.dtype.numpy for p in floating.program.inputs} == {np.dtype(np.float32)}
    assert "convert_i16" in instructions(floating)


@pytest.mark.parametrize(("activations", "kept", "wanted"), [
    ("auto", {"conv": "int16"}, ["copy_nd", "conv2d_i16", "dense_i16"]),
    ("auto", {"gemm": "int16"}, ["rescale", "copy_nd", "conv2d_i16", "dense_i16"]),
    ("int16", {"conv": "int8", "relu": "int8"},
     ["rescale", "copy_nd", "conv2d_i16", "dense_i16"]),
    ("int16", {"gemm": "float32"}, ["copy_nd", "conv2d_i16", "convert_i16", "dense_f32"]),
])  # fmt: skip
def test_one_layer_differs(activations: Any, kept: dict[str, str], wanted: list[str]) -> None:
    proto = small()
    data = samples(proto)
    compiled = ternc.compile(proto, "host", calibration_data=data, activations=activations,
                             keep=kept)
    assert instructions(compiled) == wanted
    for result in check_layers(compiled.model, data[:3]):
        assert result.passed, result


@SETTINGS
@given(graphs(max_nodes=4))
def test_random_layers(proto: onnx.ModelProto) -> None:
    """Every layer of the calibrated program gives onnxruntime's integers within 1."""
    data = list(random_feeds(input_specs(proto), 4, seed=2))
    ranges = [v for feed in data for v in Oracle(proto).run(feed).values()]
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in ranges))
    compiled = ternc.compile(proto, "host", calibration_data=data, activations="int16",
                             check_fit=False)
    for result in check_layers(compiled.model, data[:2]):
        assert result.passed, result


@SETTINGS
@given(graphs(max_nodes=4), st.integers(0, 2**32 - 1))
def test_random_mixtures(proto: onnx.ModelProto, seed: int) -> None:
    """Any nodes may have int16 activations, and their neighbours int8 ones."""
    data = list(random_feeds(input_specs(proto), 4, seed=2))
    ranges = [v for feed in data for v in Oracle(proto).run(feed).values()]
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in ranges))
    generator = np.random.default_rng(seed)
    kept = {node.name: "int16" for node in proto.graph.node if generator.random() < 0.5}
    try:
        compiled = ternc.compile(proto, "host", calibration_data=data, keep=kept, check_fit=False)
    except UsageError:  # a pass has folded a node that was named
        assume(False)
    for result in check_layers(compiled.model, data[:2]):
        assert result.passed, result


QDQ = """g (float[1,3,6,6] x) => (float[1,4,6,6] y) {
    q = QuantizeLinear(x, s1, z) d = DequantizeLinear(q, s1, z)
    w = DequantizeLinear<axis=0>(w8, sw, zw) c = Conv<pads=[1,1,1,1]>(d, w, b)
    r = QuantizeLinear(c, s2, z) y = DequantizeLinear(r, s2, z) }"""


def imported(zero: np.generic) -> onnx.ModelProto:
    """A convolution between QuantizeLinear nodes of the zero point's type."""
    return model(QDQ, s1=np.float32(1e-4), s2=np.float32(3e-4), z=zero, w8=bytes_(4, 3, 3, 3),
                 sw=floats(4, low=0.01, high=0.02), zw=np.zeros(4, np.int8), b=floats(4))


@pytest.mark.parametrize("zero", [np.int16(0), np.uint16(2**15)])
def test_imported(zero: np.generic) -> None:
    proto = imported(zero)
    compiled = ternc.compile(proto, "host")
    assert instructions(compiled) == ["copy_nd", "conv2d_i16", "copy_nd"]
    assert {port.zero_point for port in compiled.program.inputs} == {0}
    feed = feeds(proto)
    wanted = Oracle(proto).run(feed)["y"]
    assert np.abs(compiled.run(feed)["y"] - wanted).max() <= 1.01 * 3e-4
    for result in check_layers(compiled.model, [feed]):
        assert result.worst <= 1, result


@pytest.mark.parametrize("zero", [np.int16(5), np.uint16(2**15 + 1), np.uint16(0)])
def test_an_asymmetric_range_is_refused(zero: np.generic) -> None:
    with pytest.raises(CompileError) as caught:
        ternc.compile(imported(zero), "host")
    found = caught.value.diagnostics[0]
    assert found.op_type == "QuantizeLinear"
    assert found.node
    assert "symmetric" in found.message
    assert "zero point 0 (int16) or 32768 (uint16)" in found.help


@pytest.mark.parametrize("kind", ["int16", "uint16"])
def test_integer_inputs_and_outputs(kind: str) -> None:
    zero = np.int16(0) if kind == "int16" else np.uint16(2**15)
    proto = model(f"""g ({kind}[1,8] x) => ({kind}[1,5] y) {{ d = DequantizeLinear(x, s1, z)
        w = DequantizeLinear<axis=0>(w8, sw, zw) c = Gemm<transB=1>(d, w)
        y = QuantizeLinear(c, s2, z) }}""",
                  s1=np.float32(1e-4), s2=np.float32(3e-4), z=zero, w8=bytes_(5, 8),
                  sw=floats(5, low=0.01, high=0.02), zw=np.zeros(5, np.int8))
    generator = np.random.default_rng(1)
    limits = np.iinfo(kind)
    feed = {"x": generator.integers(limits.min, limits.max + 1, (1, 8)).astype(kind)}
    found = ternc.compile(proto, "host").run(feed)["y"]
    wanted = Oracle(proto).run(feed)["y"]
    assert found.dtype == wanted.dtype
    assert np.abs(found.astype(np.int64) - wanted).max() <= 1


def test_needs_data() -> None:
    with pytest.raises(UsageError, match="int16 activations need calibration data"):
        ternc.compile(small(), "host", activations="int16")
    with pytest.raises(UsageError, match="int16 activations needs calibration data"):
        ternc.compile(small(), "host", keep={"conv": "int16"})


@pytest.mark.parametrize("options", [{"weights": "float32"}, {"activations": "float32"}])
def test_a_kept_layer_contradicts_float_options(options: Any) -> None:
    with pytest.raises(UsageError, match="--keep int16 contradicts --"):
        ternc.compile(small(), "host", calibration_data=samples(small()), keep={"conv": "int16"},
                      **options)


def test_a_quantized_model_runs_as_it_says() -> None:
    with pytest.raises(UsageError, match="it runs as it says"):
        ternc.compile(imported(np.int16(0)), "host", activations="int16")


def test_residual_of_int8_layer_and_int16_branch_is_not_fused() -> None:
    text = """g (float[1,4,6,6] x) => (float[1,4,6,6] y) {
        c = Conv<pads=[1,1,1,1]>(x, w) t = Tanh(x) y = Add(c, t) }"""
    proto = model(text, w=floats(4, 4, 3, 3))
    for node in proto.graph.node:
        node.name = node.op_type.lower()
    data = samples(proto)
    compiled = ternc.compile(proto, "host", calibration_data=data, keep={"tanh": "int16"})
    assert all(item.opcode.name != "conv2d_i8_blocked" or item.operand("r") is None
               for item in compiled.program.instructions)
    for result in check_layers(compiled.model, data[:2]):
        assert result.passed, result


def test_check_finds_agreement() -> None:
    """The whole program's tensors agree with onnxruntime's."""
    check(imported(np.int16(0)))


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_recurrent_layers_beside_int16_ones(kind: str) -> None:
    proto = recurrent(kind)
    data = samples(proto)
    compiled = ternc.compile(proto, "host", calibration_data=data, activations="int16")
    assert instructions(compiled) == ["dense_i16", f"{kind}_i16", "dense_i16"]
    single = ternc.compile(proto, "host", calibration_data=data, keep={kind: "int16"})
    assert instructions(single) == ["rescale", "dense_i16", f"{kind}_i16", "dense_i16"]
    kept = ternc.compile(proto, "host", calibration_data=data, activations="int16",
                         keep={kind: "int8"})
    assert not [d for d in kept.diagnostics if d.code == "TC0203"]
    assert instructions(kept) == [
        "dense_i16", f"{kind}_i8_blocked", "rescale", "dense_i16"]
    for result in check_layers(kept.model, data[:2]):
        assert result.passed, result


def recurrent(kind: str) -> onnx.ModelProto:
    """A dense layer, a recurrent one, and another dense layer."""
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
    text = f"""g (float[5,1,6] x) => (float[5,1,2] y) {{
        d = MatMul(x, a) r = {kind.upper()}<hidden_size=4>(d, w, u) s = Squeeze(r, axis)
        y = MatMul(s, b) }}"""
    proto = model(text, a=floats(6, 3), b=floats(4, 2), w=floats(1, gates * 4, 3),
                  u=floats(1, gates * 4, 4), axis=np.array([1]))
    for node in proto.graph.node:
        node.name = node.op_type.lower()
    return proto

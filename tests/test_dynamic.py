"""Dynamic int8: BitLinear models as PyTorch exports them, and the pattern put in by request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import ternc
from ternc.diagnostics import UsageError
from ternc.passes.normalise_dynamic import NormaliseDynamic
from ternc.passes.quantize_dynamic import QuantizeDynamic
from tests.passes.running import check, graph, ops, random_feeds, run

MODELS = Path(__file__).parent / "models" / "bitlinear"
RNG = np.random.default_rng(0)


def _opcodes(compiled: ternc.CompiledModel) -> list[str]:
    """The instructions, whichever form of a kernel was chosen."""
    names = [item.opcode.name for item in compiled.program.instructions]
    plain = ("dense_i8f_t2", "dense_i8f", "conv2d_i8f_t2", "conv2d_i8f")
    return [next((p for p in plain if name.startswith(p)), name) for name in names]


@pytest.mark.parametrize("name", ["training", "inference", "step", "block", "block_inference"])
def test_reproduces_pytorch(name: str) -> None:
    """PyTorch's own outputs, within 1e-4 of the largest; every layer in ternary integers."""
    with np.load(MODELS / "expected.npz") as expected:
        inputs, outputs = expected[f"{name}_x"], expected[f"{name}_y"]
    compiled = ternc.compile(MODELS / f"{name}.onnx")
    opcodes = _opcodes(compiled)
    assert opcodes.count("dense_i8f_t2") == (3 if name.startswith("block") else 2)
    assert opcodes.count("absmax_i8") == 2  # gate and up share their input's codes
    assert "unary_f32" not in opcodes  # nothing of the pattern is left
    for x, y in zip(inputs, outputs, strict=True):
        got = compiled.run(x)["y"]
        assert np.abs(got - y).max() <= 1e-4 * np.abs(y).max()


_SCALES = {
    "reciprocal": "r = Reciprocal (m)\ns = Mul (r, levels)",
    "over": "s = Div (levels, m)",
}
_STEPS = {"over_levels": "s = Div (m, levels)", "times": "s = Mul (m, inverse)"}
_CODES = "p = Abs (x)\na = ReduceMax <keepdims=1> (p, axes)\nm = Clip (a, eps)\n"


def _pattern(scale: str, *, behind: bool, biased: bool = False) -> ir.Model:
    step = scale in _STEPS
    text = _CODES + (_STEPS | _SCALES)[scale] + "\n"
    text += f"t = {'Div' if step else 'Mul'} (x, s)\nu = Round (t)\nq = Clip (u, lo, hi)\n"
    undo = "Mul" if step else "Div"
    result = "z" if biased else "y"
    if behind:
        text += f"v = MatMul (q, w)\n{result} = {undo} (v, s)\n"
    else:
        text += f"d = {undo} (q, s)\n{result} = MatMul (d, w)\n"
    if biased:
        text += "y = Add (z, b)\n"
    return graph(
        text, "float[3,8] x", "float[3,4] y", axes=np.array([1], np.int64), eps=np.float32(1e-5),
        levels=np.float32(127), inverse=np.float32(1 / 127), lo=np.float32(-128),
        hi=np.float32(127), w=RNG.integers(-1, 2, (8, 4)).astype(np.float32) * np.float32(0.3),
        b=RNG.standard_normal(4).astype(np.float32))


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scale", [*_SCALES, *_STEPS])
def test_every_form_becomes_integers(scale: str, behind: bool, biased: bool) -> None:
    """Either order of the scale, before and behind the product, as onnxruntime computes it."""
    model = _pattern(scale, behind=behind, biased=biased)
    check(NormaliseDynamic(), model)
    feeds = random_feeds(model, 1)
    compiled = ternc.compile(model)
    assert _opcodes(compiled) == ["absmax_i8", "dense_i8f_t2", "scale_rows_f32"]
    difference = np.asarray(compiled.run(feeds)["y"], np.float64) - run(model, feeds)["y"]
    assert np.abs(difference).max() <= 1e-5


def test_straight_through_difference_is_dropped() -> None:
    """x + (Q(x) - x) is Q(x)."""
    model = graph(
        _CODES + _SCALES["over"] + "\nt = Mul (x, s)\nu = Round (t)\nq = Clip (u, lo, hi)\n"
        "d = Div (q, s)\ne = Sub (d, x)\nf = Add (x, e)\ny = MatMul (f, w)",
        "float[3,8] x", "float[3,4] y", axes=np.array([1], np.int64), eps=np.float32(1e-5),
        levels=np.float32(127), lo=np.float32(-128), hi=np.float32(127),
        w=RNG.standard_normal((8, 4)).astype(np.float32))
    assert check(NormaliseDynamic(), model).modified
    assert not {"Sub", "Add"} & set(ops(model))
    assert not NormaliseDynamic()(model).modified


def test_scale_of_another_tensor_is_left_alone() -> None:
    """A product that another scale divides keeps its order."""
    model = graph(
        _CODES + _SCALES["over"] + "\nt = Mul (x, s)\nu = Round (t)\nq = Clip (u, lo, hi)\n"
        "v = MatMul (q, w)\ny = Div (v, m)",
        "float[3,8] x", "float[3,4] y", axes=np.array([1], np.int64), eps=np.float32(1e-5),
        levels=np.float32(127), lo=np.float32(-128), hi=np.float32(127),
        w=RNG.standard_normal((8, 4)).astype(np.float32))
    assert not check(NormaliseDynamic(), model).modified


def _network() -> ir.Model:
    return graph(
        "c = Conv <pads=[1,1,1,1]> (x, k, kb)\nr = Relu (c)\n"
        "t = ConvTranspose <strides=[2,2]> (r, ct)\nf = Flatten (t)\ny = Gemm (f, w, b)",
        "float[1,2,4,4] x", "float[1,3] y", k=RNG.standard_normal((4, 2, 3, 3)).astype(np.float32),
        kb=RNG.standard_normal(4).astype(np.float32),
        ct=RNG.standard_normal((4, 2, 2, 2)).astype(np.float32),
        w=RNG.standard_normal((128, 3)).astype(np.float32),
        b=RNG.standard_normal(3).astype(np.float32))


@pytest.mark.parametrize("ternarize", [False, True])
def test_activations_dynamic(ternarize: bool) -> None:
    """The program gives what onnxruntime gives for the model with the pattern in it."""
    model = _network()
    compiled = ternc.compile(model, activations="dynamic", ternarize=ternarize)
    opcodes = _opcodes(compiled)
    suffix = "_t2" if ternarize else ""
    assert opcodes.count("absmax_i8") == 3
    assert opcodes.count(f"conv2d_i8f{suffix}") == 2
    assert opcodes.count(f"dense_i8f{suffix}") == 1
    feeds = random_feeds(model, 3)
    expected = run(compiled.model, feeds)["y"]
    assert np.abs(compiled.run(feeds)["y"] - expected).max() <= 1e-5 * np.abs(expected).max()
    if not ternarize:  # eight bits lose little
        real = run(model, feeds)["y"]
        assert np.abs(real - expected).max() <= 0.03 * np.abs(real).max()


def test_dynamic_leaves_what_it_must() -> None:
    """Kept nodes and layers with the pattern already are not touched."""
    model = _pattern("over", behind=False)
    assert not QuantizeDynamic()(model).modified
    network = _network()
    for node in network.graph:
        node.name = node.outputs[0].name
    before = ops(network)
    QuantizeDynamic({"c", "t", "y"})(network)
    assert ops(network) == before


def test_dynamic_excludes_data() -> None:
    """Ranges that calibration knows make a scale at run time pointless."""
    with pytest.raises(UsageError, match="TC0403"):
        ternc.compile(_network(), activations="dynamic",
                      calibration_data=np.zeros((2, 2, 4, 4), np.float32))

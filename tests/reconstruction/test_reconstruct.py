"""Ternary weights by the error of a layer's output."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.layer_inputs import layer_inputs
from ternc.passes.detect_ternary import DetectTernary
from ternc.passes.ternarize import Ternarize, float_slots
from ternc.quality import sqnr
from ternc.quantize.reconstruction import reconstruct_weights
from ternc.reconstruction.reconstruct import Memo, reconstruct
from tests.passes.running import graph, named_graph, run

RNG = np.random.default_rng(0)
F = np.float32


def _gram(inputs: int, groups: int = 1) -> np.ndarray:
    mixing = RNG.standard_normal((groups, inputs, inputs))
    return np.asarray(mixing @ np.swapaxes(mixing, 1, 2) / inputs)


def _error(
    weights: np.ndarray, codes: np.ndarray, scale: np.ndarray, gram: np.ndarray
) -> np.ndarray:
    rest = weights - codes * scale[:, :, None]
    return np.asarray(((rest @ gram) * rest).sum(axis=2))


def _weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


# --- the weights of one layer --------------------------------------------------------------------


def test_near_the_best_of_all_codes() -> None:
    """Exhaustive search over 3^6 codes is seldom better, and never by much."""
    weights, gram = RNG.standard_normal((1, 40, 6)), _gram(6)
    found = reconstruct_weights(weights, gram, damping=1e-9)
    best = np.full(40, np.inf)
    for codes in itertools.product((-1, 0, 1), repeat=6):
        t = np.array(codes, float)
        energy = t @ gram[0] @ t
        if energy > 0:
            scale = np.maximum(weights[0] @ gram[0] @ t / energy, 0)
            best = np.minimum(best, _error(weights, np.broadcast_to(t, (1, 40, 6)), scale[None],
                                           gram)[0])
    error = _error(weights, found.codes, found.scale, gram)[0]
    assert np.mean(error <= best * 1.0001) >= 0.6
    assert error.sum() <= 1.15 * best.sum()


@pytest.mark.parametrize("groups", [1, 5])
def test_beats_every_scheme_on_its_objective(groups: int) -> None:
    from ternc.quantize import SCHEMES

    weights, gram = RNG.standard_normal((groups, 8, 30)), _gram(30, groups)
    found = reconstruct_weights(weights, gram)
    error = _error(weights, found.codes, found.scale, gram).sum()
    for scheme in SCHEMES.values():
        codes, scale = scheme.rule(weights.reshape(-1, 30))
        other = _error(weights, codes.reshape(weights.shape), np.broadcast_to(
            scale, (groups * 8,)).reshape(groups, 8), gram).sum()
        assert error < other


def test_gain_is_what_the_error_falls_by() -> None:
    weights, gram = RNG.standard_normal((2, 4, 9)), _gram(9, 2)
    found = reconstruct_weights(weights, gram, damping=0.0)
    whole = ((weights @ gram) * weights).sum(axis=2)
    np.testing.assert_allclose(_error(weights, found.codes, found.scale, gram),
                               whole - found.gain, rtol=1e-6, atol=1e-9)


def test_degenerate_inputs() -> None:
    """Inputs that are always 0, weights that are 0, one input."""
    found = reconstruct_weights(np.zeros((1, 2, 3)), np.zeros((1, 3, 3)))
    assert not found.codes.any()
    found = reconstruct_weights(RNG.standard_normal((1, 2, 3)), np.zeros((1, 3, 3)))
    assert np.isfinite(found.scale).all()
    found = reconstruct_weights(np.array([[[-2.0]]]), np.array([[[3.0]]]))
    assert found.codes.item() * found.scale.item() == pytest.approx(-2.0)


def test_cross_correlation_corrects_the_layer_before() -> None:
    """With x' = 2x the best weights are halves: the target is the float layer's output."""
    gram = _gram(12)
    weights = RNG.standard_normal((1, 6, 12))
    plain = reconstruct_weights(weights, gram, damping=1e-9)
    halved = reconstruct_weights(weights, 4 * gram, 2 * gram, damping=1e-9)
    np.testing.assert_allclose(halved.scale, plain.scale / 2, rtol=1e-6)


# --- what a layer multiplies its weights with ----------------------------------------------------

LAYERS = {
    "Conv": ("y = Conv <pads=[1,0,2,1], strides=[2,1], dilations=[1,2]> (x, w)",
             "float[1,3,8,9] x", (5, 3, 3, 2)),
    "same": ('y = Conv <auto_pad="SAME_UPPER", strides=[2,2]> (x, w)', "float[1,3,7,7] x",
             (5, 3, 3, 3)),
    "depthwise": ("y = Conv <group=4, pads=[1,1,1,1]> (x, w)", "float[1,4,6,6] x", (8, 1, 3, 3)),
    "Conv1D": ("y = Conv <pads=[1,1]> (x, w)", "float[1,3,9] x", (4, 3, 3)),
    "ConvTranspose": ("y = ConvTranspose <strides=[2,3], pads=[1,0,0,1], output_padding=[1,0]>"
                      " (x, w)", "float[1,3,4,5] x", (3, 5, 3, 2)),
    "Gemm": ("y = Gemm <transB=1> (x, w)", "float[2,7] x", (5, 7)),
    "transA": ("y = Gemm <transA=1> (x, w)", "float[7,2] x", (7, 5)),
    "MatMul": ("y = MatMul (x, w)", "float[1,4,7] x", (7, 5)),
}


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_rows_times_columns_is_the_layer(layer: str) -> None:
    body, given, shape = LAYERS[layer]
    weights = _weights(*shape)
    model = graph(body, given, "float y", w=weights)
    common.ShapeInferencePass()(model)
    (slot,) = float_slots(model)
    inputs = layer_inputs(slot)
    assert inputs is not None
    dims = given[given.index("[") + 1 : given.index("]")].split(",")
    x = RNG.standard_normal([int(dim) for dim in dims]).astype(F)
    columns, rows = inputs.columns(x, 0), np.asarray(inputs.rows(weights), F)
    product = rows @ np.swapaxes(columns, 1, 2)
    expected = run(model, {"x": x})["y"]
    if layer in ("Gemm", "transA", "MatMul"):
        expected = np.moveaxis(expected, -1, 0).reshape(1, 5, -1)
    np.testing.assert_allclose(product.reshape(-1), expected.reshape(-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(inputs.unrows(rows, shape), weights)


# --- whole models --------------------------------------------------------------------------------


def _network() -> ir.Model:
    """Correlated inputs, a depthwise layer, no biases: everything that thresholds ignore."""
    return named_graph(
        "a = Conv <pads=[1,1,1,1]> (x, k1)\nb = Relu (a)\n"
        "c = Conv <pads=[1,1,1,1], group=8> (b, k2, b2)\nd = Relu (c)\n"
        "e = Conv (d, k3)\nf = Relu (e)\ng = GlobalAveragePool (f)\nh = Flatten (g)\n"
        "y = MatMul (h, w)",
        "float[1,2,8,8] x", "float[1,5] y", k1=_weights(8, 2, 3, 3), k2=_weights(8, 1, 3, 3),
        b2=_weights(8), k3=_weights(12, 8, 1, 1) / F(3), w=_weights(12, 5))


def _feeds(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.standard_normal((count, 1, 2, 8, 8)), axis=-1)
    return [{"x": sample.astype(F)} for sample in smooth]


def _sqnr(model: ir.Model, feeds: list[dict[str, np.ndarray]]) -> float:
    from ternc.oracle import Oracle

    reference, other = Oracle(_NETWORK), Oracle(model)
    return sqnr([reference.run(f)["y"] for f in feeds], [other.run(f)["y"] for f in feeds])


_NETWORK = _network()


def _copy() -> ir.Model:
    return ir.from_proto(ir.to_proto(_NETWORK))


def test_beats_thresholds_on_new_samples() -> None:
    fitted, diagnostics = _copy(), Diagnostics()
    reconstruct(fitted, _feeds(48, 1), diagnostics)
    check = _feeds(24, 2)
    got = _sqnr(fitted, check)
    for scheme in ("median", "twn", "bitnet", "optimal"):
        plain = _copy()
        Ternarize(Diagnostics(), scheme)(plain)
        assert got > _sqnr(plain, check) + 1.0, scheme
    assert not DetectTernary(Diagnostics())(fitted).modified
    assert sum(item.code == "TC0207" for item in diagnostics) == 4


def test_bias_takes_the_mean_error() -> None:
    """On the data fitted to, the mean of every output is the float model's."""
    fitted, feeds = _copy(), _feeds(48, 1)
    reconstruct(fitted, feeds, Diagnostics(), nodes={"y"})
    from ternc.oracle import Oracle

    means = [np.mean([np.asarray(Oracle(m).run(f)["y"], F) for f in feeds], axis=0)
             for m in (_NETWORK, fitted)]
    np.testing.assert_allclose(means[0], means[1], rtol=1e-4, atol=1e-4)


def test_only_the_layers_asked_for() -> None:
    fitted = _copy()
    reconstruct(fitted, _feeds(4, 1), Diagnostics(), keep={"a", "c"})
    assert sum(node.op_type == "DequantizeLinear" for node in fitted.graph) == 2


def test_deterministic() -> None:
    models = [_copy(), _copy()]
    for model in models:
        reconstruct(model, _feeds(8, 1), Diagnostics())
    first, second = (ir.to_proto(m).SerializeToString(deterministic=True) for m in models)
    assert first == second


def test_fits_made_once_serve_other_choices() -> None:
    """With the fits of one choice remembered, another comes out as without; none is made twice."""
    text = ("a = MatMul (x, w1)\nb = Relu (a)\nc = MatMul (b, w2)\nd = MatMul (b, w3)\n"
            "e = Add (c, d)\ny = MatMul (e, w4)")
    arrays: dict[str, Any] = {"w1": _weights(8, 16), "w2": _weights(16, 12),
                              "w3": _weights(16, 12), "w4": _weights(12, 5)}
    feeds = [{"x": RNG.standard_normal((1, 8)).astype(F)} for _ in range(48)]

    def made(nodes: set[str], memo: Memo | None) -> bytes:
        model = named_graph(text, "float[1,8] x", "float[1,5] y", **arrays)
        reconstruct(model, feeds, Diagnostics(), nodes=nodes, fixed=frozenset(), memo=memo)
        return bytes(ir.to_proto(model).SerializeToString(deterministic=True))

    memo = Memo()
    counts = []
    for nodes in ({"a"}, {"a", "d"}, {"c"}, {"c", "d"}, {"a", "c", "d", "y"}, {"a", "d"}):
        assert made(nodes, memo) == made(nodes, None)
        counts.append(len(memo.fits))
    # c and d do not depend on each other; y does on all, and is fitted anew for each choice
    assert counts == [4, 6, 8, 10, 12, 12]

"""Float weights to ternary ones by a scheme."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.diagnostics import Diagnostics
from ternc.passes.detect_ternary import DetectTernary
from ternc.passes.ternarize import Ternarize
from ternc.quantize import SCHEMES, ternarize
from tests.passes.running import graph, ops, random_feeds, run

RNG = np.random.default_rng(0)


def _weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


LAYERS = {
    "Conv": lambda: graph("y = Conv <pads=[1,1,1,1]> (x, w)", "float[1,3,6,6] x",
                          "float[1,5,6,6] y", w=_weights(5, 3, 3, 3)),
    "depthwise": lambda: graph("y = Conv <group=4> (x, w)", "float[1,4,6,6] x",
                               "float[1,4,4,4] y", w=_weights(4, 1, 3, 3)),
    "ConvTranspose": lambda: graph("y = ConvTranspose <group=2> (x, w)", "float[1,4,3,3] x",
                                   "float[1,6,5,5] y", w=_weights(4, 3, 3, 3)),
    "Gemm": lambda: graph("y = Gemm <transB=1> (x, w)", "float[2,7] x", "float[2,5] y",
                          w=_weights(5, 7)),
    "MatMul": lambda: graph("y = MatMul (x, w)", "float[2,7] x", "float[2,5] y",
                            w=_weights(7, 5)),
    "GRU": lambda: graph("y, h = GRU <hidden_size=3, direction=\"bidirectional\"> (x, w, r)",
                         "float[4,1,5] x", "float[4,2,1,3] y",
                         w=_weights(2, 9, 5), r=_weights(2, 9, 3)),
}


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_ternarized_model_runs_and_is_canonical(layer: str, scheme: str) -> None:
    """onnxruntime runs the result, and detect_ternary has nothing to add to it."""
    model, diagnostics = LAYERS[layer](), Diagnostics()
    assert Ternarize(diagnostics, scheme)(model).modified
    assert "DequantizeLinear" in ops(model)
    assert not DetectTernary(Diagnostics())(model).modified
    result = run(model, random_feeds(model))
    assert np.all(np.isfinite(result["y"]))
    warnings = [item for item in diagnostics if item.code == "TC0207"]
    assert len(warnings) == (2 if layer == "GRU" else 1)
    assert all("relative error" in item.message for item in warnings)


def test_codes_are_those_of_the_scheme() -> None:
    """The weights that onnxruntime sees are the scheme's."""
    weights = _weights(5, 7)
    model = graph("y = Gemm <transB=1> (x, w)", "float[7,7] x", "float[7,5] y", w=weights)
    Ternarize(Diagnostics(), "twn")(model)
    got = run(model, {"x": np.eye(7, dtype=np.float32)})["y"].T
    np.testing.assert_array_equal(got, ternarize(weights, "twn").dequantize())


def test_only_the_nodes_asked_for() -> None:
    """`nodes` and `keep` choose; nothing to do leaves the model alone."""
    def model() -> ir.Model:
        made = graph("h = MatMul (x, a)\ny = MatMul (h, b)", "float[1,4] x", "float[1,4] y",
                     a=_weights(4, 4), b=_weights(4, 4))
        for node, name in zip(made.graph, ("first", "second"), strict=True):
            node.name = name
        return made

    chosen, kept, none = model(), model(), model()
    Ternarize(Diagnostics(), nodes={"second"})(chosen)
    Ternarize(Diagnostics(), keep={"first"})(kept)
    assert ops(chosen) == ops(kept) == ["MatMul", "DequantizeLinear", "MatMul"]
    before = none.graph.opset_imports[""]
    assert not Ternarize(Diagnostics(), nodes=frozenset())(none).modified
    assert none.graph.opset_imports[""] == before


def test_shared_weight_is_converted_once() -> None:
    """Two layers with one weight keep sharing it."""
    model = graph("h = MatMul (x, w)\ny = MatMul (h, w)", "float[1,4] x", "float[1,4] y",
                  w=_weights(4, 4))
    Ternarize(Diagnostics())(model)
    assert ops(model).count("DequantizeLinear") == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=6))
def test_optimal_has_the_least_error_of_all_codes(row: list[float]) -> None:
    """Against every code vector with its best scale."""
    weights = np.array(row, np.float64)
    found = ternarize(weights[None], "optimal")
    error = np.sum((weights - found.codes[0] * float(found.scale[0])) ** 2)
    best = float(np.sum(weights**2))
    for codes in itertools.product((-1, 0, 1), repeat=len(row)):
        c = np.array(codes, np.float64)
        if c.any():
            scale = max(float(weights @ c / (c @ c)), 0.0)
            best = min(best, float(np.sum((weights - scale * c) ** 2)))
    assert error <= best + 1e-5 * max(1.0, float(np.sum(weights**2)))

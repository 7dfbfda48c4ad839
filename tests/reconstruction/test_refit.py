"""Layers behind ternary ones, fitted to what they now read."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import ternc
from ternc.diagnostics import Diagnostics
from ternc.moments import Moments
from ternc.oracle import Oracle
from ternc.passes._graph import constant
from ternc.quality import sqnr
from ternc.reconstruction.reconstruct import reconstruct
from ternc.reconstruction.refit import fitted_rows
from tests.passes.running import named_graph

RNG = np.random.default_rng(0)
F = np.float32


def _weights(*shape: int) -> np.ndarray:
    scaled = RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return np.asarray(scaled, F)


def _network() -> ir.Model:
    """Two convolutions, a depthwise one, and two dense layers that share nothing."""
    return named_graph(
        "a = Conv <pads=[1,1,1,1]> (x, k1)\nb = Relu (a)\n"
        "c = Conv <pads=[1,1,1,1], group=8> (b, k2)\nd = Relu (c)\n"
        "e = Conv (d, k3)\nf = Relu (e)\ng = Flatten (f)\nh = MatMul (g, w1)\n"
        "i = Relu (h)\ny = Gemm <transB=1> (i, w2)",
        "float[1,4,6,6] x", "float[1,5] y", k1=_weights(8, 4, 3, 3), k2=_weights(8, 1, 3, 3),
        k3=_weights(6, 8, 3, 3), w1=_weights(96, 12).astype(F), w2=_weights(5, 12))


NETWORK = _network()


def _feeds(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": np.cumsum(rng.standard_normal((1, 4, 6, 6)), axis=-1).astype(F)}
            for _ in range(count)]


def _reconstructed(fixed: frozenset[str] | None, ternary: set[str]) -> ir.Model:
    model = ir.from_proto(ir.to_proto(NETWORK))
    reconstruct(model, _feeds(64, 1), Diagnostics(), nodes=ternary, fixed=fixed)
    return model


def _quality(model: ir.Model) -> float:
    feeds = _feeds(64, 2)
    reference, other = Oracle(NETWORK), Oracle(model)
    return sqnr([reference.run(f)["y"] for f in feeds], [other.run(f)["y"] for f in feeds])


def _weight(model: ir.Model, name: str) -> np.ndarray:
    (node,) = [node for node in model.graph if node.name == name]
    found = constant(node.inputs[1])
    assert found is not None
    return found


@pytest.mark.parametrize("ternary", ["a", "c", "e"])
def test_takes_back_a_part_of_the_error_on_new_samples(ternary: str) -> None:
    assert _quality(_reconstructed(frozenset(), {ternary})) > _quality(
        _reconstructed(None, {ternary})) + 0.2


def test_only_layers_behind_change() -> None:
    model = _reconstructed(frozenset({"h"}), {"c"})
    for name, same in (("a", True), ("e", False), ("h", True), ("y", False)):
        assert np.array_equal(_weight(model, name), _weight(NETWORK, name)) == same, name


def test_keep_float_keeps_the_weights() -> None:
    """A layer that the user keeps in float32 stays as it was trained."""
    compiled = ternc.compile(
        NETWORK, "host", calibration_data=[f["x"] for f in _feeds(64, 1)],
        keep={"a": "ternary", "y": "float32"})
    np.testing.assert_array_equal(_weight(compiled.model, "y"), _weight(NETWORK, "y"))


def test_least_squares() -> None:
    """Without a ridge it is numpy's solution; with a large one, the weights as they were."""
    x = RNG.standard_normal((1, 200, 6)).astype(F)
    read = (x + 0.3 * RNG.standard_normal(x.shape)).astype(F)
    rows = RNG.standard_normal((1, 3, 6))
    seen = Moments(1, 6)
    seen.add(read, x)
    centred, wanted = read[0] - read[0].mean(axis=0), (x[0] - x[0].mean(axis=0)) @ rows[0].T
    expected = np.linalg.lstsq(centred, wanted, rcond=None)[0].T
    np.testing.assert_allclose(fitted_rows(rows, seen, 1e-9)[0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted_rows(rows, seen, 1e9), rows, rtol=1e-6)

"""Pruned models: what is zero is reported, and what nobody needs is not compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import ternc
from ternc.oracle import Oracle
from ternc.passes.remove_channels import RemoveChannels

Array = npt.NDArray[Any]
RNG = np.random.default_rng(11)


def pruned() -> onnx.ModelProto:
    """Convolutions of 16 and 16 channels; 5 of the first and 3 of the second hold nothing."""
    weights = {
        "a": RNG.standard_normal((16, 3, 3, 3)), "ab": RNG.standard_normal(16),
        "b": RNG.standard_normal((16, 16, 3, 3)) / 12, "bb": RNG.standard_normal(16),
        "d": RNG.standard_normal((10, 16 * 16)) / 16, "db": RNG.standard_normal(10),
    }
    weights["a"][[1, 4, 5, 9, 15]] = 0
    weights["b"][[0, 7]] = 0
    weights["d"].reshape(10, 16, 16)[:, 3] = 0
    weights["d"][RNG.random((10, 256)) < 0.5] = 0
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[1,3,8,8] x) => (float[1,10] y) {'
        "p = Conv(x, a, ab) q = Relu(p) r = Conv(q, b, bb) s = Relu(r) f = Flatten(s)"
        " y = Gemm<transB=1>(f, d, db) }")
    for name, array in weights.items():
        tensor = onnx.numpy_helper.from_array(array.astype(np.float32), name)
        model.graph.initializer.append(tensor)
    return model


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return pruned()


def test_float(model: onnx.ModelProto) -> None:
    compiled = ternc.compile(model, "host", verify_passes=True)
    assert not compiled.diagnostics.errors
    assert [d.node for d in compiled.diagnostics if d.code == "TC0108"]
    layers = [layer for layer in compiled.report()["layers"] if layer["weights"]]
    assert [layer["weight_count"] for layer in layers] == [11 * 27, 13 * 11 * 9, 13 * 16 * 10]
    assert layers[0]["zeros"] == layers[1]["zeros"] == 0
    assert 0.4 < layers[2]["zeros"] < 0.6
    oracle = Oracle(model)
    for seed in range(4):
        feed = {"x": np.random.default_rng(seed).standard_normal((1, 3, 8, 8)).astype(np.float32)}
        wanted = oracle.run(feed)["y"]
        assert np.abs(compiled.run(feed)["y"] - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_integers_are_the_same(
    model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quantized model, with its channels taken out, gives the integers that it gave."""
    data = RNG.standard_normal((32, 1, 3, 8, 8)).astype(np.float32)
    with monkeypatch.context() as patched:
        patched.setattr(RemoveChannels, "call", lambda _, m: ir.passes.PassResult(m, False))
        quantized = ternc.compile(model, "host", calibration_data=data)
    smaller = ternc.compile(ir.to_proto(quantized.model), "host", verify_passes=True)
    assert not smaller.diagnostics.errors
    counts = [layer["weight_count"] for layer in smaller.report()["layers"] if layer["weights"]]
    assert counts == [11 * 27, 13 * 11 * 9, 13 * 16 * 10]
    for sample in data:
        np.testing.assert_array_equal(smaller.run(sample)["y"], quantized.run(sample)["y"])

"""Which channels of a layer become ternary first, and what that is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

import ternc
from ternc.feeds import Samples
from ternc.mixed.channels import ranking
from ternc.mixed.search import Price, Search
from ternc.oracle import Oracle
from ternc.precision import Precision
from ternc.quality import sqnr
from tests.passes.running import graph, named_graph

F = np.float32
_FREE = 32  # channels that cost nothing: every third is exactly ternary, every third hardly read


def _model() -> ir.Model:
    """A layer of 48 channels, of which 32 lose nothing, scattered."""
    rng = np.random.default_rng(5)
    first = (rng.standard_normal((48, 16, 3, 3)) / 12).astype(F)
    first[::3] = 0.1 * np.sign(first[::3])
    second = (rng.standard_normal((48, 10)) / 6).astype(F)
    second[1::3] *= 1e-3
    return named_graph(
        "a = Conv <pads=[1,1,1,1]> (x, w, b)\nr = Relu (a)\np = GlobalAveragePool (r)\n"
        "f = Flatten (p)\ny = Gemm (f, v)", "float[1,16,12,12] x", "float[1,10] y",
        w=first, b=rng.standard_normal(48).astype(F), v=second)


def _samples(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, 16, 12, 12)) * rng.uniform(0.5, 2, (count, 1, 1, 1))
            ).astype(F)


def _search(model: ir.Model) -> Search:
    feeds = [{"x": x[None]} for x in _samples(16, 1)]
    return Search(model, Precision(max_drop=1.0), Samples(lambda: iter(feeds), 16), None,
                  Samples(lambda: iter(feeds), 16), lambda _: Price(0, 0, 0))


def test_those_that_lose_least_come_first() -> None:
    ranked = ranking(_search(_model()), "a")
    assert ranked is not None
    assert sorted(ranked.order) == list(range(48))
    assert all(channel % 3 < 2 for channel in ranked.order[:_FREE])
    assert ranked.shares[0] == 0.0
    assert ranked.shares[_FREE] < 0.01
    assert ranked.shares[-1] == pytest.approx(1.0)
    assert list(ranked.shares) == sorted(ranked.shares)


def test_the_next_layer_reads_a_channel_with_each_of_its_taps() -> None:
    rng = np.random.default_rng(8)
    first, second = (rng.standard_normal(shape).astype(F) / 12
                     for shape in ((24, 16, 3, 3), (10, 24, 3, 3)))
    second[:, 1::3] *= 1e-3
    model = named_graph("a = Conv (x, w)\nr = Relu (a)\ny = Conv (r, v)",
                  "float[1,16,12,12] x", "float[1,10,8,8] y", w=first, v=second)
    ranked = ranking(_search(model), "a")
    assert ranked is not None
    assert set(ranked.order[:8]) == set(range(1, 24, 3))
    assert ranked.shares[8] < 1e-3


def test_channels_that_must_stay_in_their_order() -> None:
    """Those of the output, and of a layer that is read twice."""
    model = _model()
    assert ranking(_search(model), "y") is None
    twice = graph("a = Conv (x, w)\nb = Relu (a)\nc = Conv (b, v)\ny = Add (b, c)",
                  "float[1,16,12,12] x", "float[1,8,10,10] y",
                  w=np.ones((8, 16, 3, 3), F), v=np.ones((8, 8, 1, 1), F))
    common.ShapeInferencePass()(twice)
    twice.graph[0].name = "a"
    assert ranking(_search(twice), "a") is None


def test_a_part_of_scattered_channels() -> None:
    """They become ternary where the layer as a whole would lose too much."""
    model, fit = _model(), _samples(64, 2)
    data: dict[str, Any] = {"calibration_data": fit, "evaluation_data": _samples(400, 3)}
    compiled = ternc.compile(model, "host", **data, max_drop=3.0, keep={"y": "int8"})
    mixed = compiled.mixed
    assert mixed is not None
    assert mixed.sure
    assert mixed.sensitivity[0].drop > 3.0
    split = mixed.splits["a"]
    assert split.order is not None
    assert split.channels >= 28
    int8 = ternc.compile(model, "host", calibration_data=fit)
    assert len(compiled.blob) == mixed.chosen.flash_bytes < len(int8.blob)
    assert compiled.report()["mixed_precision"]["splits"] == {"a": split.channels}
    # what is left between the layers is the model's no more
    assert {"r": "y", "a": "y"}.items() <= compiled.report()["folded"].items()
    new = _samples(300, 4)
    given = compiled.run(new[:1], intermediates=True)
    assert "r" not in given
    reference = Oracle(model)
    wanted = [reference.run({"x": x[None]})["y"] for x in new]
    lost = sqnr(wanted, [int8.run(x[None])["y"] for x in new]) - sqnr(
        wanted, [compiled.run(x[None])["y"] for x in new])
    assert lost <= 3.0


def test_ends_of_a_layer_that_keeps_its_order() -> None:
    """Its first channels or its last, where the output has them in this order."""
    rng = np.random.default_rng(6)
    weights = (rng.standard_normal((64, 96)) / 8).astype(F)
    weights[:, 40:] = 0.1 * np.sign(weights[:, 40:])
    model = graph("y = MatMul (x, w)", "float[1,64] x", "float[1,96] y", w=weights)
    common.ShapeInferencePass()(model)
    model.graph[0].name = "y"
    samples = rng.standard_normal((300, 64)).astype(F)
    mixed = ternc.compile(model, "host", calibration_data=samples[:64],
                          evaluation_data=samples[64:], max_drop=3.0).mixed
    assert mixed is not None
    assert mixed.sure
    assert mixed.splits["y"].order is None
    assert mixed.splits["y"].channels == 40
    assert mixed.chosen.ternary == ("y[40:]",)

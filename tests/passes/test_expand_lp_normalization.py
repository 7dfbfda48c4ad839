"""LpNormalization, written out."""

from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.expand_lp_normalization import ExpandLpNormalization
from tests.passes.running import assert_same, check, graph, ops, run


@pytest.mark.parametrize(("attributes", "norm"), [
    ("", "ReduceL2"), ("<p=1>", "ReduceL1"), ("<p=2,axis=1>", "ReduceL2"),
    ("<p=1,axis=-3>", "ReduceL1"),
])
def test_as_onnxruntime(attributes: str, norm: str) -> None:
    model = graph(f"y = LpNormalization{attributes}(x)", "float[2,3,4] x", "float[2,3,4] y")
    assert check(ExpandLpNormalization(), model).modified
    assert ops(model) == [norm, "Clip", "Div"]


def test_a_vector_of_zeros_stays() -> None:
    model = graph("y = LpNormalization(x)", "float[2,3] x", "float[2,3] y")
    feeds = {"x": np.array([[0, 0, 0], [3, 0, 4]], np.float32)}
    before = run(model, feeds)
    ExpandLpNormalization()(model)
    assert_same(before, run(model, feeds))
    assert np.all(run(model, feeds)["y"][0] == 0)

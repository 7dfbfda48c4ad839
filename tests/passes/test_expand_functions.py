from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.expand_functions import ExpandFunctions
from tests.passes.running import check, graph, ops


@pytest.mark.parametrize(("body", "opset"), [
    ("y = RMSNormalization<axis=-1>(x, s)", 23),
    ("y = RMSNormalization<axis=-2, epsilon=0.1>(x, s)", 23),
    ("y = MeanVarianceNormalization(x)", 13),
    ("y = MeanVarianceNormalization<axes=[1]>(x)", 21),
    ("y = RotaryEmbedding(x, c, n)", 23),
    ("y = Attention(x, x, x)", 23),
    ("y = Attention<is_causal=1, scale=0.2>(x, x, x)", 23),
    ("h = Attention(x, x, x, m) y = Relu(h)", 23),
    ("y = CastLike(x, s)", 21),
])
def test_as_defined(body: str, opset: int) -> None:
    rng = np.random.default_rng(0)
    model = graph(
        body, "float[2,3,4,6] x", "float y", opset=opset, s=rng.normal(size=6).astype(np.float32),
        c=rng.normal(size=(2, 4, 3)).astype(np.float32),
        n=rng.normal(size=(2, 4, 3)).astype(np.float32),
        m=rng.normal(size=(4, 4)).astype(np.float32))
    written = set(ops(model))
    result = check(ExpandFunctions(), model)
    assert result.modified
    assert not (set(ops(result.model)) & written) - {"Relu"}
    assert not result.model.functions


def test_nodes_are_named_after_the_one_that_they_stand_for() -> None:
    model = graph("y = RMSNormalization(x, s)", "float[2,6] x", "float y", opset=23,
                  s=np.ones(6, np.float32))
    model.graph[0].name = "norm"
    ExpandFunctions()(model)
    names = [node.name or "" for node in model.graph]
    assert all("norm" in name for name in names)
    assert len(set(names)) == len(names)


def test_others_stay() -> None:
    model = graph("a = Gelu(x) y = Softmax(a)", "float[2,6] x", "float[2,6] y")
    assert not check(ExpandFunctions(), model).modified
    assert ops(model) == ["Gelu", "Softmax"]

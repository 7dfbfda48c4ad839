"""Chains of two for operators of any number of operands."""

from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.split_variadic import SplitVariadic
from tests.passes.running import check, graph, ops

INPUTS = "float[2,3] a, float[3] b, float[4,1,1] c"


@pytest.mark.parametrize(("body", "expected"), [
    ("y = Sum(a, b, c)", ["Add", "Add"]), ("y = Sum(a, b)", ["Add"]),
    ("y = Mean(a, b, c)", ["Add", "Add", "Div"]), ("y = Max(a, b, c)", ["Max", "Max"]),
    ("y = Min(a, b, c, k)", ["Min", "Min", "Min"]), ("y = Sum(a)", ["Identity"]),
    ("y = Mean(a)", ["Identity"]), ("y = Max(a)", ["Identity"]),
    ("s = Sum(a, b, c) y = Relu(s)", ["Add", "Add", "Relu"]),
])
def test_chains(body: str, expected: list[str]) -> None:
    model = graph(body, INPUTS, "float y", k=np.float32(0.5))
    assert check(SplitVariadic(), model).modified
    assert ops(model) == expected
    assert model.graph.outputs[0].name == "y"


@pytest.mark.parametrize("body", ["y = Max(a, b)", "y = Min(a, b)", "y = Add(a, b)"])
def test_pairs_stay(body: str) -> None:
    model = graph(body, INPUTS, "float y")
    assert not check(SplitVariadic(), model).modified


def test_names_of_nodes_are_kept() -> None:
    model = graph("y = Sum(a, b, c)", INPUTS, "float y")
    model.graph[0].name = "total"
    SplitVariadic()(model)
    assert model.graph[-1].name == "total"

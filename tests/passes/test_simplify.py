from __future__ import annotations

import numpy as np
import pytest
from onnx_ir.passes import common

from ternc.passes.simplify import Simplify
from tests.passes.running import check, graph, ops


@pytest.mark.parametrize(("body", "expected"), [
    ("d = Dropout(x) y = Relu(d)", ["Relu"]),
    ("i = Identity(x) y = Relu(i)", ["Relu"]),
    ("c = Cast<to=1>(x) y = Relu(c)", ["Relu"]),
    ("a = Add(x, zero) b = Mul(a, one) y = Relu(b)", ["Relu"]),
    ("r = Reshape(x, same) y = Relu(r)", ["Relu"]),
    ("r = Relu(x) y = Reshape(r, same)", ["Relu"]),
    ("t = Transpose<perm=[1,0]>(x) u = Transpose<perm=[1,0]>(t) y = Relu(u)", ["Relu"]),
    ("r = Relu(x) y = Relu(r)", ["Relu"]),
    ("f = Flatten(x) y = Relu(f)", ["Relu"]),
    ("w = Where(never, zero, x) y = Relu(w)", ["Relu"]),
    ("w = Where(always, x, zero) y = Relu(w)", ["Relu"]),
])
def test_identities_go(body: str, expected: list[str]) -> None:
    model = graph(body, "float[2,4] x", "float[2,4] y", zero=np.float32(0), one=np.float32(1),
                  same=np.array([2, 4]), never=np.zeros((2, 1), bool), always=np.ones(4, bool))
    common.ShapeInferencePass()(model)
    assert check(Simplify(), model).modified
    assert ops(model) == expected
    assert not model.graph.initializers
    assert not Simplify()(model).modified


@pytest.mark.parametrize("body", [
    "y = Where(some, x, zero)", "y = Where(never, x, zero)", "y = Where(wider, x, x)"])
def test_a_choice_that_matters_stays(body: str) -> None:
    model = graph(body, "float[1,4] x", "float[N,4] y", zero=np.float32(0),
                  some=np.array([True, False, True, True]), never=np.zeros(4, bool),
                  wider=np.ones((2, 4), bool))
    common.ShapeInferencePass()(model)
    check(Simplify(), model)
    assert ops(model) == ["Where"]


def test_unused_inputs_stay() -> None:
    model = graph("u = Relu(z) y = Relu(x)", "float[4] x, float[4] z", "float[4] y")
    assert check(Simplify(), model).modified
    assert [value.name for value in model.graph.inputs] == ["x", "z"]
    assert ops(model) == ["Relu"]


def test_input_that_is_an_output_keeps_its_identity() -> None:
    model = graph("r = Reshape(x, same) y = Identity(r)", "float[4] x", "float[4] y",
                  same=np.array([4]))
    common.ShapeInferencePass()(model)
    check(Simplify(), model)
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_work_is_left_alone() -> None:
    model = graph("r = Reshape(x, to) y = Relu(r)", "float[4,2] x", "float[2,4] y",
                  to=np.array([2, 4]))
    common.ShapeInferencePass()(model)
    check(Simplify(), model)  # the unused import of com.microsoft goes
    assert not check(Simplify(), model).modified
    assert ops(model) == ["Reshape", "Relu"]

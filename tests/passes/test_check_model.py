from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes.check_model import CheckModel
from tests.passes.running import check, graph


def _codes(diagnostics: Diagnostics) -> list[str]:
    return [item.code for item in diagnostics.errors]


def test_nan_is_an_error_that_names_the_initializer() -> None:
    weight = np.ones((3, 2), np.float32)
    weight[1, 1] = np.nan
    model = graph("y = MatMul(x, w)", "float[2,3] x", "float[2,2] y", w=weight)
    diagnostics = Diagnostics()
    assert not CheckModel(diagnostics)(model).modified
    assert _codes(diagnostics) == ["TC0006"]
    assert "'w'" in diagnostics.errors[0].message


def test_infinity_is_legal_in_a_mask_only() -> None:
    model = graph("a = MatMul(x, w) y = Add(a, m)", "float[2,3] x", "float[2,2] y",
                  w=np.ones((3, 2), np.float32), m=np.array([0, -np.inf], np.float32))
    diagnostics = Diagnostics()
    CheckModel(diagnostics)(model)
    assert not list(diagnostics)
    model = graph("y = MatMul(x, w)", "float[2,3] x", "float[2,2] y",
                  w=np.full((3, 2), np.inf, np.float32))
    CheckModel(diagnostics)(model)
    assert _codes(diagnostics) == ["TC0006"]


def test_control_flow_is_reported() -> None:
    model = graph("y = If<then_branch = t () => (float[2] a) { a = Relu(x) }, "
                  "else_branch = e () => (float[2] b) { b = Neg(x) }>(c)",
                  "float[2] x, bool c", "float[2] y")
    diagnostics = Diagnostics()
    CheckModel(diagnostics)(model)
    assert _codes(diagnostics) == ["TC0105"]


@pytest.mark.parametrize(("node", "inputs", "constants"), [
    ("y, p, q = BatchNormalization<training_mode=1>(x, s, s, s, s)", "float[2,3] x", {
        "s": np.ones(3, np.float32)}),
    ("y = Dropout(x, r, t)", "float[2,3] x", {"r": np.float32(0.5), "t": np.True_}),
    ("y = Dropout(x, , t)", "float[2,3] x", {"t": np.True_}),
    ("y = Dropout(x, r, t)", "float[2,3] x, bool t", {"r": np.float32(0.5)}),
])
def test_training_mode_is_an_error(
    node: str, inputs: str, constants: dict[str, Any],
) -> None:
    model = graph(node, inputs, "float[2,3] y", **constants)
    diagnostics = Diagnostics()
    CheckModel(diagnostics)(model)
    assert _codes(diagnostics) == ["TC0102"]
    assert "in training mode" in diagnostics.errors[0].message


@pytest.mark.parametrize("node", [
    "y = BatchNormalization(x, s, s, s, s)", "y = Dropout(x, r)", "y = Dropout(x, r, f)",
    "y = Dropout(x, z, t)",  # nothing is dropped
])
def test_inference_passes(node: str) -> None:
    constants: dict[str, Any] = {
        "s": np.ones(3, np.float32), "r": np.float32(0.5), "z": np.float32(0), "f": np.False_,
        "t": np.True_}
    model = graph(node, "float[2,3] x", "float[2,3] y", **{
        name: value for name, value in constants.items() if re.search(rf"\b{name}\b", node[1:])})
    diagnostics = Diagnostics()
    CheckModel(diagnostics)(model)
    assert not list(diagnostics)


def test_sound_model_passes() -> None:
    model = graph("y = Relu(x)", "float[2] x", "float[2] y")
    diagnostics = Diagnostics()
    assert not check(CheckModel(diagnostics), model).modified
    assert not list(diagnostics)

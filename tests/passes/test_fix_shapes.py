from __future__ import annotations

import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes.fix_shapes import FixShapes, batch_inputs
from tests.passes.running import check, graph


def _shape(model_input: str, shapes: dict[str, tuple[int, ...]] | None = None) -> object:
    model = graph("y = Relu(x)", model_input, "float[] y")
    diagnostics = Diagnostics()
    FixShapes(diagnostics, shapes)(model)
    if diagnostics.errors:
        return [item.code for item in diagnostics.errors]
    shape = model.graph.inputs[0].shape
    assert shape is not None
    return shape.numpy()


@pytest.mark.parametrize("dims", ["N, 8", "batch_size, 8", "unk__12, 8", "1, 8"])
def test_batch_becomes_one(dims: str) -> None:
    assert _shape(f"float[{dims}] x") == (1, 8)


def test_given_shape_wins_and_resolves_the_symbol_everywhere() -> None:
    model = graph("y = Add(x, z)", "float[N, T] x, float[N, T] z", "float[N, T] y")
    diagnostics = Diagnostics()
    FixShapes(diagnostics, {"x": (2, 5)})(model)
    assert not diagnostics.errors
    assert [tuple(value.shape or ()) for value in model.graph.inputs] == [(2, 5), (2, 5)]


@pytest.mark.parametrize("dims", ["N, T", "N, N", "seq_len, 8", "time, 1"])
def test_other_dynamic_dims_need_an_option(dims: str) -> None:
    assert _shape(f"float[{dims}] x") == ["TC0103"]


def test_error_says_what_to_type() -> None:
    model = graph("y = Relu(x)", "float[N, T, 8] x", "float[N, T, 8] y")
    diagnostics = Diagnostics()
    FixShapes(diagnostics)(model)
    assert diagnostics.errors[0].help == "say it with --shape x:1,N,8"


@pytest.mark.parametrize("shapes", [{"x": (1, 9)}, {"x": (1, 8, 1)}, {"no": (1,)}, {"x": (0, 8)}])
def test_options_that_contradict_the_model(shapes: dict[str, tuple[int, ...]]) -> None:
    assert _shape("float[N, 8] x", shapes) == ["TC0403"]


def test_static_model_is_left_alone() -> None:
    model = graph("y = Relu(x)", "float[2, 8] x", "float[2, 8] y")
    assert not check(FixShapes(Diagnostics()), model).modified


def test_answer_is_kept_and_the_batch_remembered() -> None:
    model = graph("a = Shape(x) y = Reshape(x, a)", "float[N, 8] x", "float[N, 8] y")
    assert batch_inputs(model) == ("x",)
    assert check(FixShapes(Diagnostics()), model).modified
    assert batch_inputs(model) == ()

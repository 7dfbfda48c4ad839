from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes.raise_opset import RaiseOpset
from tests.passes.running import check, graph, ops, run


def test_old_model_is_raised() -> None:
    body = "a = Squeeze<axes=[1]>(x) b = Clip<min=-1.0, max=1.0>(a) y = Softmax<axis=1>(b)"
    model = graph(body, "float[2,1,8] x", "float[2,8] y", opset=10)
    model.graph[1].name = "clip"
    model.graph[1].metadata_props["origin"] = "layer1"
    result = check(RaiseOpset(Diagnostics()), model)
    assert result.model.graph.opset_imports[""] == 21
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    clip = next(node for node in result.model.graph if node.op_type == "Clip")
    assert clip.name == "clip"
    assert clip.metadata_props["origin"] == "layer1"


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_slopes_of_old_models_are_those_of_channels(rank: int) -> None:
    shape = (2, 3, 4, 5)[:rank]
    text = ",".join(map(str, shape))
    slopes = np.array([0.1, -2, 0.5], np.float32)
    model = graph("a = PRelu(x, s) y = PRelu(a, s)", f"float[{text}] x", f"float[{text}] y",
                  opset=6, s=slopes)
    raised = RaiseOpset(Diagnostics())(model).model
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    columns = slopes.reshape(3, *[1] * (rank - 2))
    once = np.where(x < 0, x * columns, x)
    result = run(raised, {"x": x})["y"]
    np.testing.assert_allclose(result, np.where(once < 0, once * columns, once), rtol=1e-6)


def test_expanded_nodes_have_distinct_names() -> None:
    """The converter writes Softmax over several axes as three nodes."""
    model = graph("y = Softmax<axis=1>(x)", "float[2,3,4] x", "float[2,3,4] y", opset=11)
    model.graph[0].name = "softmax"
    result = check(RaiseOpset(Diagnostics()), model)
    names = [node.name for node in result.model.graph]
    assert len(set(names)) == len(names) > 1


def test_newer_model_is_left_alone() -> None:
    model = graph("y = Relu(x)", "float[4] x", "float[4] y", opset=22)
    result = check(RaiseOpset(Diagnostics()), model)
    assert not result.modified
    assert result.model.graph.opset_imports[""] == 22


def test_custom_operators_survive() -> None:
    model = graph("y = com.microsoft.QuickGelu(x)", "float[4] x", "float[4] y", opset=13)
    result = check(RaiseOpset(Diagnostics()), model)
    assert ops(result.model) == ["QuickGelu"]
    assert result.model.graph.opset_imports[""] == 21


def test_what_cannot_be_converted_is_an_error() -> None:
    """Upsample without a rule upward stops the converter; the model stays as it was."""
    model = graph("y = Scan<body = g (float s, float i) => (float t, float o) "
                  "{ t = Add(s, i) o = Identity(t) }, num_scan_inputs=1>(q, x, x)",
                  "float[1,4] x", "float[4] y", opset=8, q=np.zeros(1, np.int64))
    diagnostics = Diagnostics()
    result = RaiseOpset(diagnostics)(model)
    assert not result.modified
    assert [item.code for item in diagnostics.errors] == ["TC0102"]

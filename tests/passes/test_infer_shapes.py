from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes.infer_shapes import InferShapes
from tests.passes.running import check, graph


def test_every_tensor_is_static() -> None:
    model = graph("a = MatMul(x, w) b = Shape(a) y = Reshape(a, b)", "float[2,3] x", "float y",
                  w=np.ones((3, 5), np.float32))
    diagnostics = Diagnostics()
    assert check(InferShapes(diagnostics), model).modified
    assert not list(diagnostics)
    assert [tuple(node.outputs[0].shape or ()) for node in model.graph] == [(2, 5), (2,), (2, 5)]
    assert not InferShapes(diagnostics)(model).modified


def test_wrong_shape_in_the_file_is_corrected() -> None:
    model = graph("a = Relu(x) y = Relu(a)", "float[2,3] x", "float y")
    model.graph[0].outputs[0].shape = ir.Shape([9, 9])
    assert InferShapes(Diagnostics())(model).modified
    assert tuple(model.graph[0].outputs[0].shape or ()) == (2, 3)


def test_data_dependent_shape_is_reported_once() -> None:
    model = graph("a = NonZero(x) b = Cast<to=1>(a) y = Relu(b)", "float[4] x", "float y")
    model.graph[0].name = "where"
    diagnostics = Diagnostics()
    check(InferShapes(diagnostics), model)
    assert [(item.code, item.node) for item in diagnostics] == [("TC0103", "where")]

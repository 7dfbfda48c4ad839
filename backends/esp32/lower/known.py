"""Operators whose result the shapes alone say: constants that nothing earlier has folded."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Constant
from ternc.backends.esp32.lower.nodes import attr_int, required_input
from ternc.backends.esp32.lower.registry import operator


@operator("Constant", int8="a constant", note="as an output; else it becomes a weight")
def lower_constant(ctx: Lowering, node: ir.Node) -> None:
    """Constant: what the lifting of constants leaves, an output of the model."""
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    if tensor is None:
        raise Unsupported("a Constant that is no tensor", code="TC0104")
    ctx.bind(node.outputs[0], Constant(tensor.numpy()))


@operator("Shape", "Size", int8="a constant")
def lower_shape(ctx: Lowering, node: ir.Node) -> None:
    """Shape (or a part of it) and Size of a tensor whose shape is static, as all are."""
    shape = np.array(ctx.shape(required_input(node, 0)), np.int64)
    if node.op_type == "Size":
        ctx.bind(node.outputs[0], Constant(np.array(np.prod(shape))))
        return
    end = attr_int(node, "end", len(shape))
    ctx.bind(node.outputs[0], Constant(shape[attr_int(node, "start", 0):end]))


@operator("EyeLike", int8="a constant")
def lower_eye_like(ctx: Lowering, node: ir.Node) -> None:
    """EyeLike: ones on one diagonal of a matrix."""
    rows, columns = ctx.shape(node.outputs[0])
    dtype = node.outputs[0].dtype
    assert dtype is not None
    ctx.bind(node.outputs[0],
             Constant(np.eye(rows, columns, attr_int(node, "k", 0)).astype(dtype.numpy())))

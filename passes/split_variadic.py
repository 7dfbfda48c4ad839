"""Sums, means, maxima and minima of any number of operands as chains of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Builder, graph_of, replace_value, static_shape

_PAIRS = {"Sum": "Add", "Mean": "Add", "Max": "Max", "Min": "Min"}


class SplitVariadic(ir.passes.InPlacePass):
    """op(a, b, c, ...) → op(op(a, b), c) ..., in the order of the operands.

    Applies to Sum and Mean, which become Add (and a Div by the number of operands), and to Max and
    Min of more than two operands. With one operand all four are the operand.

    Does not apply to a Mean of anything but float32.
    """

    name: ClassVar[str] = "split_variadic"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites what it finds, the bodies of If and Loop included."""
        found = [node for node in model.graph.all_nodes() if _applies(node)]
        for node in found:
            values = [value for value in node.inputs if value is not None]
            build = Builder(node)
            total = _chain(build, _PAIRS[node.op_type], values)
            if node.op_type == "Mean" and len(values) > 1:
                total = build.node("Div", [
                    total, build.constant("count", np.float32(len(values)))])
            if len(values) == 1:
                total = build.node("Identity", [total])
            replace_value(node.outputs[0], total)
            graph_of(node).remove(node, safe=True)
        return ir.passes.PassResult(model, bool(found))


def _applies(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type not in _PAIRS:
        return False
    if node.op_type == "Mean" and node.inputs[0] is not None:
        return node.inputs[0].dtype is ir.DataType.FLOAT
    return node.op_type == "Sum" or len(node.inputs) != 2


def _chain(build: Builder, op_type: str, values: Sequence[ir.Value]) -> ir.Value:
    total = values[0]
    for value in values[1:]:
        before, more = static_shape(total), static_shape(value)
        total = build.node(op_type, [total, value])
        # where one is unknown, shapes are inferred later
        total.shape = None if before is None or more is None else ir.Shape(
            np.broadcast_shapes(before, more))
    return total

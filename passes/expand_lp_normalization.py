"""LpNormalization by a reduction and a division."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Builder, graph_of, replace_value, static_shape

_SMALLEST: Final = np.finfo(np.float32).tiny
_NORMS: Final = {1: "ReduceL1", 2: "ReduceL2"}


class ExpandLpNormalization(ir.passes.InPlacePass):
    """LpNormalization(x) → x / max(norm(x), 2^-126) along its axis.

    Applies to p = 1 and 2 of float32. The maximum makes 0 of a vector of zeros, as ONNX has it.
    """

    name: ClassVar[str] = "expand_lp_normalization"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites every LpNormalization."""
        found = [node for node in model.graph.all_nodes() if _applies(node)]
        for node in found:
            build, x = Builder(node), node.inputs[0]
            axis = node.attributes.get_int("axis", -1)
            norm = build.node(_NORMS[node.attributes.get_int("p", 2)],
                              [x, build.constant("axis", np.array([axis]))])
            sizes = static_shape(x)
            norm.shape = None if sizes is None else ir.Shape(
                [1 if at == axis % len(sizes) else size for at, size in enumerate(sizes)])
            above = build.node("Clip", [norm, build.constant("least", _SMALLEST)])
            replace_value(node.outputs[0], build.node("Div", [x, above]))
            graph_of(node).remove(node, safe=True)
        return ir.passes.PassResult(model, bool(found))


def _applies(node: ir.Node) -> bool:
    x = node.inputs[0] if node.inputs else None
    return (node.domain == "" and node.op_type == "LpNormalization" and x is not None
            and x.dtype is ir.DataType.FLOAT and node.attributes.get_int("p", 2) in _NORMS)

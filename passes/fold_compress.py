"""A selection that is known now is a Gather."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Builder, constant, graph_of, initializer, input_at, remove_dead


class FoldCompress(ir.passes.InPlacePass):
    """Compress(x, condition) → Gather(x, indices), of x as a vector where there is no axis.

    Applies where the condition is constant and selects something. onnx infers no shape of a
    Compress, but that of a Gather.
    """

    name: ClassVar[str] = "fold_compress"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every Compress."""
        modified = False
        for node in list(model.graph):
            if node.domain == "" and node.op_type == "Compress":
                modified |= _fold(node)
        return ir.passes.PassResult(model, modified)


def _fold(node: ir.Node) -> bool:
    condition, x = constant(input_at(node, 1)), input_at(node, 0)
    if condition is None or x is None or not condition.any():
        return False
    graph, y = graph_of(node), node.outputs[0]
    axis = node.attributes.get("axis")
    build = Builder(node)
    if axis is None:
        x = build.node("Reshape", [x, initializer(graph, f"{y.name}_flat", np.array([-1]))],
                       shape=[ir.SymbolicDim(None)], name=f"{y.name}_vector")
    indices = initializer(graph, f"{y.name}_indices", np.flatnonzero(condition))
    gather = ir.node("Gather", [x, indices], {"axis": 0 if axis is None else axis.as_int()},
                     name=node.name, metadata_props=dict(node.metadata_props))
    graph.insert_before(node, gather)
    name = y.name
    ir.convenience.replace_all_uses_with(y, gather.outputs[0], replace_graph_outputs=True)
    gather.outputs[0].name, y.name = name, None
    gather.outputs[0].type = y.type
    remove_dead(graph, node)
    return True

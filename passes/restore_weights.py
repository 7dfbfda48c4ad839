"""Weights that arrive quantized back to float32, for a pass that makes them ternary."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

import onnx_ir as ir

from ternc.passes._graph import dequantized_constant, graph_of, initializer
from ternc.passes._linear import weight_slots


class RestoreWeights(ir.passes.InPlacePass):
    """op(x, DequantizeLinear(codes, s, z)) becomes op(x, W) with W = (codes - z)·s in float32.

    Applies to constant weights of more than the three levels -s, 0, s that have integer codes;
    ternary ones (INT2) stay. Exact: DequantizeLinear computes the same float32 numbers. Nodes
    named in `keep`, and where `nodes` is given those that it does not name, are left alone.
    """

    name: ClassVar[str] = "restore-weights"

    def __init__(
        self, nodes: AbstractSet[str] | None = None, keep: AbstractSet[str] = frozenset()
    ) -> None:
        self.nodes = nodes
        self.keep = keep

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every weight; one shared by several nodes is restored for each of them."""
        modified = False
        for node in list(model.graph):
            for slot in weight_slots(node):
                source = slot.weight.producer()
                if not slot.is_in(self.nodes, self.keep):
                    continue
                if source is None or source.op_type != "DequantizeLinear":
                    continue
                codes = source.inputs[0]
                if codes is None or codes.dtype is ir.DataType.INT2:
                    continue
                weights = dequantized_constant(slot.weight)
                if weights is None:
                    continue
                stem = slot.weight.name or f"{node.name}_weight"
                restored = initializer(graph_of(node), f"{stem}_restored", weights)
                node.replace_input_with(slot.index, restored)
                modified = True
        return ir.passes.PassResult(model, modified)

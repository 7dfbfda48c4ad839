"""int8 weights under float activations."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

import onnx_ir as ir

from ternc.passes._int8_weights import quantize_weights_of


class QuantizeWeights(ir.passes.InPlacePass):
    """W → DequantizeLinear(int8 codes, s, axis=output channels), s = max|W| / 127 per channel.

    Applies to float32 initializers that Conv, ConvTranspose, Gemm or MatMul multiply with;
    activations and biases stay float. Nodes named in `keep` are left alone, and so are nodes not
    in `nodes` (None: all are looked at) and weights that come from a DequantizeLinear already.
    """

    name: ClassVar[str] = "quantize_weights"

    def __init__(
        self, nodes: AbstractSet[str] | None = None, keep: AbstractSet[str] = frozenset()
    ) -> None:
        self.nodes = nodes
        self.keep = keep

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Converts every weight; one shared by several nodes once."""
        kept = {node for node in model.graph if (node.name or "") in self.keep}
        return ir.passes.PassResult(model, quantize_weights_of(model.graph, kept, self.nodes))

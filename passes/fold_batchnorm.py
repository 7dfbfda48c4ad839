"""Per-channel affine operators in the scale and bias of the layer before them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._affine import Affine, affine_after, per_channel
from ternc.passes._graph import (
    Array,
    dequantized_constant,
    fresh_name,
    graph_of,
    initializer,
    input_at,
    remove_dead,
)
from ternc.passes._linear import RECURRENT, Slot, weight_slots
from ternc.passes._rescale import can_rescale, rescale


class FoldBatchNorm(ir.passes.InPlacePass):
    """a·(W·x + b) + c → (a·W)·x + (a·b + c), a and c one number per output channel.

    W is the constant weight of Conv, ConvTranspose, Gemm or MatMul (with or without an Add
    behind it); a and c come from any run of BatchNormalization, Mul, Div, Add, Sub and Neg with
    constants that broadcast along the output channels, also through Squeeze, Unsqueeze, Transpose
    and Reshape that keep channels whole. Where W = DequantizeLinear(codes, scale), a goes into
    the scale, which becomes one per channel and may be negative; the codes stay.

    Must not apply in front of a layer, behind an activation, across QuantizeLinear, where a
    tensor in between is read elsewhere or is a graph output, or where the factor cannot be
    written as a scale (codes with one scale per input channel). A MatMul with nothing but its
    one Add is already in normal form.

    `folded` maps each node and tensor that disappeared to the node that absorbed it. The tensor
    that is left has the name of the last one absorbed, because it holds its numbers.
    """

    name: ClassVar[str] = "fold_batchnorm"

    def __init__(self, folded: dict[str, str] | None = None) -> None:
        self.folded = folded if folded is not None else {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visits every layer once; one visit absorbs all that follows it."""
        modified = False
        for node in list(model.graph):
            slots = weight_slots(node) if node.op_type not in RECURRENT else []
            modified |= bool(slots) and self._fold(slots[0])
        return ir.passes.PassResult(model, modified)

    def _fold(self, slot: Slot) -> bool:
        node, output = slot.node, slot.node.outputs[0]
        weight = dequantized_constant(slot.weight)
        axis = _channel_axis(node, output)
        if weight is None or weight.dtype != np.float32 or axis is None \
                or (node.op_type == "MatMul" and weight.ndim != 2):
            return False
        channels = weight.shape[slot.axis] * slot.groups
        affine = affine_after(output, axis, channels)
        bias = _bias(node, channels)
        if not affine.nodes or bias is None or _is_normal(node, affine) \
                or not can_rescale(slot, affine.a):
            return False
        rescale(slot, affine.a)
        new_bias = affine.a * bias + affine.b
        final = self._absorb(node, affine)
        needed = bool(np.any(new_bias)) or input_at(node, 2) is not None
        if node.op_type == "MatMul":
            if needed:
                _add_bias(node, affine.nodes[0], new_bias, output is final)
        elif needed:
            _set_bias(node, new_bias)
        return True

    def _absorb(self, node: ir.Node, affine: Affine) -> ir.Value:
        """Takes the absorbed nodes out; the value that is left, under the last one's name."""
        graph, target = graph_of(node), node.name or ""
        last = affine.nodes[-1].outputs[0].name
        final = node.outputs[0]
        self.folded[final.name or ""] = target
        for absorbed in affine.nodes:
            output = absorbed.outputs[0]
            data = next(value for value in absorbed.inputs
                        if value is not None and dequantized_constant(value) is None)
            self.folded[absorbed.name or ""] = target
            if absorbed is not affine.nodes[-1]:
                self.folded[output.name or ""] = target
            ir.convenience.replace_all_uses_with(output, data, replace_graph_outputs=True)
            constants = [value for value in absorbed.inputs if value is not data]
            output.name = None
            graph.remove(absorbed, safe=True)
            for value in constants:
                remove_dead(graph, value.producer() if value is not None else None)
            final = data
        between = final
        while between is not node.outputs[0]:
            producer = between.producer()
            assert producer is not None
            assert producer.inputs[0] is not None
            between = producer.inputs[0]
            self.folded[between.name or ""] = target
            between.name = fresh_name(graph, f"{between.name}_folded")
        final.name = last
        return final


def _channel_axis(node: ir.Node, output: ir.Value) -> int | None:
    if output.shape is None:
        return None
    return len(output.shape) - 1 if node.op_type == "MatMul" else 1


def _is_normal(node: ir.Node, affine: Affine) -> bool:
    return (node.op_type == "MatMul" and len(affine.nodes) == 1 and not affine.moved
            and affine.nodes[0].op_type == "Add")


def _bias(node: ir.Node, channels: int) -> Array | None:
    value = input_at(node, 2) if node.op_type != "MatMul" else None
    if value is None:
        return np.zeros(channels)
    rank = 2 if node.op_type == "Gemm" else 1
    bias = per_channel(dequantized_constant(value), rank, rank - 1, channels)
    if bias is None or node.op_type != "Gemm":
        return bias
    return bias * node.attributes.get_float("beta", 1.0)


def _set_bias(node: ir.Node, bias: Array) -> None:
    graph, old = graph_of(node), input_at(node, 2)
    value = initializer(graph, f"{node.name}_bias", bias.astype(np.float32))
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, value)
    if node.op_type == "Gemm":
        node.attributes.pop("beta", None)
    if old is not None:
        remove_dead(graph, old.producer())


def _add_bias(node: ir.Node, first: ir.Node, bias: Array, is_last: bool) -> None:
    """Puts one Add behind a MatMul; it takes over the name when nothing stood in between."""
    graph, product = graph_of(node), node.outputs[0]
    name = product.name or node.name or "MatMul"
    value = initializer(graph, f"{node.name}_bias", bias.astype(np.float32))
    output = ir.Value(name=None, type=product.type, shape=product.shape)
    ir.convenience.replace_all_uses_with(product, output, replace_graph_outputs=True)
    add = ir.node("Add", [product, value], outputs=[output],
                  name=first.name if first.op_type == "Add" else f"{node.name}_Add",
                  metadata_props=dict(node.metadata_props))
    graph.insert_after(node, add)
    if is_last:
        product.name = fresh_name(graph, f"{name}_product")
        output.name = name
    else:
        output.name = fresh_name(graph, f"{name}_biased")



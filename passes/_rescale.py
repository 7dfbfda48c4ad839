"""Multiplying a constant weight by one factor per output channel, codes left alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import (
    Array,
    constant,
    fresh_name,
    graph_of,
    initializer,
    input_at,
    remove_dead,
)
from ternc.passes._linear import Slot


def can_rescale(slot: Slot, factor: Array) -> bool:
    """Whether the factors can be written into the weight, or into the scale of its codes."""
    node = slot.weight.producer()
    if node is None or np.all(factor == factor[0]):
        return True
    scale, codes = constant(node.inputs[1]), constant(node.inputs[0])
    if scale is None or codes is None or slot.groups > 1:
        return False
    if node.attributes.get_int("block_size", 0):
        return bool(scale.shape[slot.axis] == factor.size)
    return scale.size == 1 or node.attributes.get_int("axis", 1) % codes.ndim == slot.axis


def rescale(slot: Slot, factor: Array) -> None:
    """Puts factor · weight in this slot only; other readers of the weight keep theirs."""
    if np.all(factor == 1.0):
        return
    old, node = slot.weight, slot.weight.producer()
    graph = graph_of(slot.node)
    if node is None:
        weight = constant(old)
        assert weight is not None
        shaped = _shaped(factor, weight.ndim, slot, weight.shape[0])
        new = initializer(graph, f"{old.name}_folded", (weight * shaped).astype(weight.dtype))
    else:
        new = _rescaled(slot, node, factor)
    slot.node.replace_input_with(slot.index, new)
    if node is not None:
        remove_dead(graph, node)
    elif not old.uses() and old.name is not None:
        graph.initializers.pop(old.name, None)


def _shaped(factor: Array, rank: int, slot: Slot, inputs: int) -> Array:
    if slot.groups == 1:
        return factor.reshape([-1 if axis == slot.axis else 1 for axis in range(rank)])
    rows = np.repeat(factor.reshape(slot.groups, -1), inputs // slot.groups, axis=0)
    return rows.reshape([*rows.shape, *(1,) * (rank - 2)])


def _rescaled(slot: Slot, node: ir.Node, factor: Array) -> ir.Value:
    graph, scale, zero = graph_of(slot.node), constant(node.inputs[1]), input_at(node, 2)
    codes = constant(node.inputs[0])
    assert scale is not None
    assert codes is not None
    axis = node.attributes.get_int("axis", 1)
    block = node.attributes.get_int("block_size", 0)
    if np.all(factor == factor[0]):
        new_scale = scale * factor[0]
    elif block:
        new_scale = scale * _shaped(factor, scale.ndim, slot, 0)
    else:
        axis = slot.axis
        new_scale = scale.reshape(-1) * factor
    stem = slot.weight.name
    inputs = [node.inputs[0],
              initializer(graph, f"{stem}_scale", new_scale.astype(scale.dtype))]
    zeros = constant(zero)
    if zeros is not None and zeros.shape != new_scale.shape:
        spread = np.broadcast_to(zeros.reshape(-1), new_scale.shape).copy()
        inputs.append(initializer(graph, f"{stem}_zero_point", spread))
    elif zero is not None:
        inputs.append(zero)
    attributes = {"axis": axis} | ({"block_size": block} if block else {})
    output = ir.Value(name=None, type=slot.weight.type, shape=slot.weight.shape)
    new = ir.node("DequantizeLinear", inputs, attributes, outputs=[output],
                  name=f"{node.name}_folded", metadata_props=dict(node.metadata_props))
    graph.insert_before(slot.node, new)
    output.name = fresh_name(graph, f"{slot.weight.name}_folded")
    return output

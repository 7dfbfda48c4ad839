"""The canonical ternary weight: an INT2 initializer and a DequantizeLinear per output channel."""

from __future__ import annotations

from typing import Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from ternc.passes._graph import constant, graph_of, initializer, input_at, opset, remove_dead
from ternc.passes._levels import Ternary
from ternc.passes._linear import RECURRENT, Slot

INT2_OPSET: Final = 25
INT2_IR_VERSION: Final = 13


def is_canonical(slot: Slot) -> bool:
    """Whether the weight in `slot` already has the canonical form."""
    node = slot.weight.producer()
    if node is None or node.inputs[0] is None or node.inputs[0].dtype != ir.DataType.INT2 \
            or input_at(node, 2) is not None:
        return False
    codes, scale = constant(node.inputs[0]), constant(node.inputs[1])
    if codes is None or scale is None or np.any(codes.astype(np.int8) == -2):
        return False
    if slot.node.op_type in RECURRENT and codes.shape[0] > 1:
        return bool(node.attributes.get_int("block_size", 0) == codes.shape[-1])
    return scale.ndim == 1 and node.attributes.get_int("axis", 1) % codes.ndim == slot.axis


def canonical(slot: Slot, found: Ternary) -> ir.Value:
    """A new DequantizeLinear in front of the slot's node that gives `found`.

    A recurrent weight with two directions gets one scale per direction and gate row, as blocks of
    one row.
    """
    graph, name = graph_of(slot.node), slot.weight.name or f"{slot.node.name}_weight"
    shape, scale, attributes = found.codes.shape, found.scale, {"axis": slot.axis}
    if slot.node.op_type in RECURRENT and shape[0] > 1:
        scale = scale.reshape(*shape[:2], 1)
        attributes = {"axis": 2, "block_size": shape[2]}
    inputs = [initializer(graph, f"{name}_ternary", found.codes.astype(ml_dtypes.int2)),
              initializer(graph, f"{name}_scale", scale)]
    output = ir.Value(name=None, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
    node = ir.node("DequantizeLinear", inputs, attributes, outputs=[output],
                   name=f"{name}_dequantize", metadata_props=dict(slot.node.metadata_props))
    graph.insert_before(slot.node, node)
    output.name = f"{name}_dequantized"
    return output


def put_in_slot(slot: Slot, weight: ir.Value) -> None:
    """Makes `weight` the slot's weight and drops the old one if nothing else reads it."""
    old, graph = slot.weight, graph_of(slot.node)
    slot.node.replace_input_with(slot.index, weight)
    if old.is_initializer() and not old.uses() and not old.is_graph_output():
        assert old.name is not None
        graph.initializers.pop(old.name, None)
    remove_dead(graph, old.producer())


def import_int2(model: ir.Model) -> None:
    """Raises the opset to the one that has INT2; 22 to 25 only add element types to 21."""
    model.graph.opset_imports[""] = max(opset(model), INT2_OPSET)
    model.ir_version = max(model.ir_version, INT2_IR_VERSION)

"""Ternary weights, in whatever form they arrive, in one canonical form."""

from __future__ import annotations

from typing import ClassVar, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import (
    Array,
    constant,
    dequantized_constant,
    graph_of,
    initializer,
    input_at,
    opset,
    remove_dead,
)
from ternc.passes._levels import Ternary, near_ternary, ternary
from ternc.passes._linear import RECURRENT, Slot, weight_slots

INT2_OPSET: Final = 25
INT2_IR_VERSION: Final = 13
_ALMOST: Final = 0.9


class DetectTernary(ir.passes.InPlacePass):
    """W ∈ {-s, 0, s} per output channel → DequantizeLinear(INT2 codes, s, axis=output channels).

    W is a constant weight of Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU or RNN: a float
    initializer (up to rounding noise, see `_levels.ULPS`), or integer codes of any width under a
    DequantizeLinear whose values are ternary. All output channels must be ternary; binary
    weights and channels of zeros are. A recurrent weight with two directions gets one scale per
    direction and gate row, as blocks of one row. The model then imports opset 25, which has INT2.

    Must not apply to weights with two magnitudes in a channel or a scale per input channel (a
    note says so), to channels of fewer than four weights unless one scale fits the whole tensor,
    or to weights that are computed at run time.

    A float weight with at least 90 % of its values within 1 % of {-s, 0, s} is warning TC0201.
    """

    name: ClassVar[str] = "detect_ternary"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every weight; tensors shared by several nodes are converted once."""
        made: dict[tuple[int, int], ir.Value] = {}
        modified = False
        for node in list(model.graph):
            for slot in weight_slots(node):
                modified |= self._convert(slot, made)
        if modified:
            # opsets 22 to 25 only add element types to the operators of 21
            model.graph.opset_imports[""] = max(opset(model), INT2_OPSET)
            model.ir_version = max(model.ir_version, INT2_IR_VERSION)
        return ir.passes.PassResult(model, modified)

    def _convert(self, slot: Slot, made: dict[tuple[int, int], ir.Value]) -> bool:
        value, weights = slot.weight, dequantized_constant(slot.weight)
        if weights is None or weights.dtype != np.float32 or not weights.size \
                or _is_canonical(slot):
            return False
        recurrent = slot.node.op_type in RECURRENT
        rows = weights.reshape(-1, weights.shape[-1]) if recurrent else weights
        axis = 0 if recurrent else slot.axis
        found = ternary(rows, axis)
        if found is None:
            self._explain(slot, rows, axis)
            return False
        key = (id(value), slot.axis)
        if key not in made:
            made[key] = _canonical(slot, Ternary(found.codes.reshape(weights.shape), found.scale))
        slot.node.replace_input_with(slot.index, made[key])
        _drop(slot, value)
        return True

    def _explain(self, slot: Slot, weights: Array, axis: int) -> None:
        if constant(slot.weight) is None:
            return
        node, name = slot.node, slot.weight.name
        share = near_ternary(weights, axis)
        if share >= _ALMOST:
            self.diagnostics.warning(
                "TC0201", f"{share:.1%} of weight {name!r} lie on {{-s, 0, s}}, not all: it stays "
                          "float32", node=node.name or "", op_type=node.op_type,
                help="export the model in evaluation mode, or compile with --ternarize")
        elif weights.ndim == 2 and ternary(weights, 1 - axis) is not None:
            self.diagnostics.note(
                "TC0201", f"weight {name!r} is ternary with one scale per input channel, which "
                          "has no ternary kernel", node=node.name or "", op_type=node.op_type,
                help="scale the layer's input instead of its weight")


def _is_canonical(slot: Slot) -> bool:
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


def _canonical(slot: Slot, found: Ternary) -> ir.Value:
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


def _drop(slot: Slot, value: ir.Value) -> None:
    graph = graph_of(slot.node)
    if value.is_initializer() and not value.uses() and not value.is_graph_output():
        assert value.name is not None
        graph.initializers.pop(value.name, None)
    remove_dead(graph, value.producer())

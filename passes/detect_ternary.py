"""Ternary weights, in whatever form they arrive, in one canonical form."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._canonical import canonical, import_int2, is_canonical, put_in_slot
from ternc.passes._graph import Array, constant, dequantized_constant
from ternc.passes._levels import ENOUGH, Ternary, near_ternary, ternary
from ternc.passes._linear import RECURRENT, Slot, weight_slots

_ALMOST: Final = 0.9


class DetectTernary(ir.passes.InPlacePass):
    """W ∈ {-s, 0, s} per output channel → DequantizeLinear(INT2 codes, s, axis=output channels).

    W is a constant weight of Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU or RNN: a float
    initializer (up to rounding noise, see `_levels.ULPS`), or integer codes of any width under a
    DequantizeLinear whose values are ternary. All output channels must be ternary; binary
    weights and channels of zeros are. A recurrent weight with two directions gets one scale per
    direction and gate row, as blocks of one row. The model then imports opset 25, which has INT2.

    Must not apply to weights with two magnitudes in a channel or a scale per input channel (a
    note says so), to channels of fewer than four weights unless one scale fits the whole tensor
    or enough of them have equal magnitudes (or, for W of a recurrent node, R is ternary),
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
            import_int2(model)
        return ir.passes.PassResult(model, modified)

    def _convert(self, slot: Slot, made: dict[tuple[int, int], ir.Value]) -> bool:
        value, weights = slot.weight, dequantized_constant(slot.weight)
        if weights is None or weights.dtype != np.float32 or not weights.size \
                or is_canonical(slot):
            return False
        recurrent = slot.node.op_type in RECURRENT
        rows = weights.reshape(-1, weights.shape[-1]) if recurrent else weights
        axis = 0 if recurrent else slot.axis
        # What a sensor of few axes feeds makes rows of few weights: R shows how W was trained.
        enough = 1 if recurrent and slot.index == 1 and _has_ternary_state(slot.node) else ENOUGH
        found = ternary(rows, axis, enough)
        if found is None:
            self._explain(slot, rows, axis)
            return False
        key = (id(value), slot.axis)
        if key not in made:
            made[key] = canonical(slot, Ternary(found.codes.reshape(weights.shape), found.scale))
        put_in_slot(slot, made[key])
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


def _has_ternary_state(node: ir.Node) -> bool:
    """Whether the R of a recurrent node is ternary."""
    weights = dequantized_constant(node.inputs[2])
    return weights is not None and ternary(weights.reshape(-1, weights.shape[-1]), 0) is not None

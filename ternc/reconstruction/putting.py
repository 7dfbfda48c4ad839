"""Puts fitted weights into a recurrent node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._canonical import canonical, import_int2, put_in_slot
from ternc.passes._graph import constant, graph_of, initializer
from ternc.passes._linear import Slot, weight_slots
from ternc.passes.ternarize import warn
from ternc.reconstruction.recurrent import Fitted, Rows

_HOW = "by the error of the states on the calibration data"


def put_gates(model: ir.Model, node: ir.Node, fitted: Fitted, diagnostics: Diagnostics) -> None:
    """Makes `fitted` the weights and the bias of `node`; warning TC0207 for what became ternary.

    Ternary matrices get the canonical form; others stay float, their ternary rows exact.
    """
    _set_bias(node, fitted.bias)
    for slot, rows in zip(weight_slots(node), (fitted.w, fitted.r), strict=True):
        weights, whole = constant(slot.weight), rows.whole
        assert weights is not None
        if whole is not None:
            warn(diagnostics, slot, weights, whole, _HOW)
            put_in_slot(slot, canonical(slot, whole))
            import_int2(model)
            continue
        if rows.ternary.any():
            _warn_rows(diagnostics, slot, weights, rows)
        put_in_slot(slot, initializer(
            graph_of(node), f"{slot.weight.name or slot.name}_fitted", rows.real))


def _warn_rows(diagnostics: Diagnostics, slot: Slot, weights: npt.NDArray[np.generic],
               rows: Rows) -> None:
    before = np.asarray(weights, np.float64)[rows.ternary]
    error = float(np.linalg.norm(before - rows.real[rows.ternary]) / np.linalg.norm(before))
    diagnostics.warning(
        "TC0207", f"{rows.ternary.sum()} of the {rows.ternary.size} rows of weight "
                  f"{slot.weight.name!r} were made ternary: their relative error is {error:.1%}",
        node=slot.node.name or "", op_type=slot.node.op_type, notes=(_HOW,),
        help=f"train with ternc.qat, or keep them with --keep int8:{slot.name}")


def _set_bias(node: ir.Node, bias: npt.NDArray[np.float32]) -> None:
    """Makes `bias` [directions, 2 x rows] input B of a recurrent node."""
    if len(node.inputs) < 4:
        node.resize_inputs(4)
    old = node.inputs[3]
    node.replace_input_with(3, initializer(
        graph_of(node), f"{node.name or node.op_type}_bias_corrected", bias))
    if old is not None and old.is_initializer() and not old.uses():
        graph_of(node).initializers.pop(old.name or "", None)

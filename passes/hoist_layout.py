"""Quantized weights in the layout their layer reads."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import (
    Builder,
    constant,
    input_at,
    matching_axis,
    remove_dead,
    replace_value,
)

_LAYOUT = ("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity")


class HoistLayout(ir.passes.InPlacePass):
    """layout(DequantizeLinear(codes, s, axis)) → DequantizeLinear(layout(codes), s, axis').

    Applies to Transpose, Reshape, Unsqueeze, Squeeze, Flatten and Identity of a constant.

    Must not touch blocked scales, a per-axis scale whose axis a Reshape merges or splits, or a
    tensor that is computed at run time.
    """

    name: ClassVar[str] = "hoist_layout"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visits nodes in order, so that chains of layout operators are hoisted one by one."""
        modified = False
        for node in list(model.graph):
            if node.domain == "" and node.op_type in _LAYOUT and self._hoist(node):
                modified = True
        return ir.passes.PassResult(model, modified)

    @staticmethod
    def _hoist(node: ir.Node) -> bool:
        source = node.inputs[0].producer() if node.inputs[0] is not None else None
        if source is None or source.op_type != "DequantizeLinear":
            return False
        codes, scale = constant(source.inputs[0]), constant(source.inputs[1])
        if codes is None or scale is None or source.attributes.get_int("block_size", 0) > 0:
            return False
        axis = source.attributes.get_int("axis", 1) % max(codes.ndim, 1)
        moved = _moved(node, codes)
        if moved is None:
            return False
        per_axis = scale.ndim == 1 and scale.size > 1
        new_axis = _new_axis(node, codes, moved, axis) if per_axis else 0
        if new_axis is None:
            return False
        build = Builder(node)
        attributes = {"axis": new_axis} if per_axis else {}
        inputs = [build.constant("codes", moved), source.inputs[1], input_at(source, 2)]
        inputs = inputs if inputs[2] is not None else inputs[:2]
        output = build.node("DequantizeLinear", inputs, attributes,
                            dtype=node.outputs[0].dtype or source.outputs[0].dtype,
                            shape=list(moved.shape))
        replace_value(node.outputs[0], output)
        remove_dead(build.graph, node)
        return True


def _moved(node: ir.Node, codes: np.ndarray) -> np.ndarray | None:
    match node.op_type:
        case "Identity":
            return codes
        case "Transpose":
            default = list(reversed(range(codes.ndim)))
            return codes.transpose(node.attributes.get_ints("perm", default))
    if node.op_type != "Flatten" and len(node.inputs) > 1 and constant(node.inputs[1]) is None:
        return None
    shape = _static(node)
    return codes.reshape(shape) if shape is not None else None


def _static(node: ir.Node) -> list[int] | None:
    shape = node.outputs[0].shape
    if shape is None or not shape.is_static():
        return None
    return [int(dim) for dim in shape]  # type: ignore[arg-type]


def _new_axis(node: ir.Node, codes: np.ndarray, moved: np.ndarray, axis: int) -> int | None:
    if node.op_type == "Identity":
        return axis
    if node.op_type == "Transpose":
        default = list(reversed(range(codes.ndim)))
        return list(node.attributes.get_ints("perm", default)).index(axis)
    return matching_axis(codes.shape, moved.shape, axis)

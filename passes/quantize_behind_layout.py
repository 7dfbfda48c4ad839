"""Quantization by absmax at run time, next to the layer that reads it."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._dynamic import LEVELS_OVER, OVER_LEVELS, RECIPROCAL_TIMES, Codes, match_result
from ternc.passes._graph import Builder, only_consumer, remove_dead, replace_value, static_shape

_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")


class QuantizeBehindLayout(ir.passes.InPlacePass):
    """layout(Q(x)) → Q(layout(x)), where Q divides each row by its absmax and rounds.

    TensorFlow's exporter writes a layer of another layout than ONNX's as Transpose, Reshape or
    Unsqueeze in front of the operator, and so between it and its quantization. Applies to
    Reshape, Squeeze, Unsqueeze and Flatten that keep rows together, and to all layout operators,
    Transpose included, where the whole tensor is one row; exact, as a maximum has no order.

    Must not touch a quantized tensor that something else reads too.
    """

    name: ClassVar[str] = "quantize_behind_layout"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visits nodes in order, so that a quantization moves past several of them."""
        modified = False
        for node in list(model.graph):
            if node.domain == "" and node.op_type in (*_RESHAPES, "Transpose"):
                modified |= _move(node)
        return ir.passes.PassResult(model, modified)


def _move(node: ir.Node) -> bool:
    result, shape = node.inputs[0], static_shape(node.outputs[0])
    if result is None or shape is None or only_consumer(result) is not node:
        return False
    codes = match_result(result, transposed=True)
    if codes is None:
        return False
    axes = _row_axes(node, codes, shape)
    if axes is None:
        return False
    build = Builder(node)
    attributes = {a.name: a.value for a in node.attributes.values()}
    x = _undone(node, codes.x) or build.node(
        node.op_type, [codes.x, *node.inputs[1:]], attributes, dtype=codes.x.dtype, shape=shape)
    replace_value(node.outputs[0], _quantized(build, x, shape, axes, codes))
    remove_dead(build.graph, node)
    return True


def _row_axes(node: ir.Node, codes: Codes, shape: tuple[int, ...]) -> list[int] | None:
    """The axes of the new shape that make a row, None where rows are broken up."""
    if codes.rows == 1:
        return list(range(len(shape)))
    if node.op_type == "Transpose":
        return None
    for first in range(len(shape)):
        if prod(shape[first:]) * codes.rows == prod(shape):
            return list(range(first, len(shape)))
    return None


def _undone(node: ir.Node, x: ir.Value) -> ir.Value | None:
    """What `x` was transposed from, where `node` transposes it back."""
    before = x.producer()
    if node.op_type != "Transpose" or before is None or before.op_type != "Transpose":
        return None
    there, back = (n.attributes.get_ints("perm", []) for n in (before, node))
    if not there or [there[axis] for axis in back] != sorted(there):
        return None
    return before.inputs[0]


def _quantized(
    build: Builder, x: ir.Value, shape: tuple[int, ...], axes: list[int], codes: Codes
) -> ir.Value:
    """The same operations in the same order on `x`, so that the result is the same."""
    def number(value: float) -> ir.Value:
        return build.constant("number", np.asarray(value, np.float32))

    rows = [1 if axis in axes else size for axis, size in enumerate(shape)]
    most = build.node("ReduceMax", [
        build.node("Abs", [x], shape=shape), build.constant("axes", np.asarray(axes, np.int64)),
    ], {"keepdims": 1}, shape=rows)
    if codes.epsilon > 0:
        most = build.node("Max", [most, number(codes.epsilon)], shape=rows)
    if codes.form == RECIPROCAL_TIMES:
        inverse = build.node("Reciprocal", [most], shape=rows)
        scale = build.node("Mul", [inverse, number(codes.levels)], shape=rows)
    elif codes.form == LEVELS_OVER:
        scale = build.node("Div", [number(codes.levels), most], dtype=x.dtype, shape=rows)
    elif codes.form == OVER_LEVELS:
        scale = build.node("Div", [most, number(codes.levels)], shape=rows)
    else:
        scale = build.node("Mul", [most, number(codes.levels)], shape=rows)
    there, back = ("Div", "Mul") if codes.divides else ("Mul", "Div")
    ratio = build.node(there, [x, scale], shape=shape)
    rounded = build.node("Clip", [
        build.node("Round", [ratio], shape=shape), number(codes.low), number(codes.high),
    ], shape=shape)
    return build.node(back, [rounded, scale], shape=shape)

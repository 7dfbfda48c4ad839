"""Layers whose int8 input gets its scale at run time, from the absmax of each row (BitLinear).

x becomes codes and a factor for each row (`absmax_i8`); the layer multiplies the codes in integers
(`dense_i8f`, `conv2d_i8f` and their ternary forms, zero points 0); `scale_rows_f32` multiplies by
the factor and adds the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.dense import innermost
from ternc.backends.esp32.lower.forms import Buffer, Codes, Scaled
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.nodes import attr_int
from ternc.backends.esp32.program import DType
from ternc.passes import _dynamic


@dataclass(frozen=True, slots=True)
class Match:
    """A value that is the result of such a quantization, and the nodes that are not needed."""

    value: ir.Value
    codes: _dynamic.Codes
    nodes: frozenset[ir.Node]


def find_dynamic(ctx: Lowering, graph: ir.Graph) -> dict[ir.Node, Match]:
    """The quantizations that only layers with integer weights read, by their last node."""
    found: dict[ir.Node, Match] = {}
    for node in graph:
        if node.op_type not in ("Div", "Mul") or node.outputs[0].is_graph_output():
            continue
        codes = _dynamic.match_result(node.outputs[0])
        if codes is None:
            continue
        readers = list(node.outputs[0].uses())
        if readers and all(use.idx == 0 and _takes(ctx, use.node, codes) for use in readers):
            inner = _dynamic.nodes_between(node.outputs[0], codes.x)
            found[node] = Match(node.outputs[0], codes, frozenset(inner))
    inside = {node for match in found.values() for node in match.nodes}
    # What is read from outside, by more than the layer, must be computed for its own sake.
    while outside := {
        node for node in inside if node not in found and any(
            value.is_graph_output() or any(use.node not in inside for use in value.uses())
            for value in node.outputs)
    }:
        inside -= outside
    return {last: Match(m.value, m.codes, m.nodes & inside) for last, m in found.items()}


def _takes(ctx: Lowering, node: ir.Node, codes: _dynamic.Codes) -> bool:
    """Whether `node` multiplies integer weights with an input quantized row by row."""
    if node.op_type not in ("Gemm", "MatMul", "Conv", "ConvTranspose") or node.domain:
        return False
    weight = node.inputs[1]
    form = ctx.form_or_none(weight) if weight is not None else None
    if not isinstance(form, Codes) or attr_int(node, "transA", 0):
        return False
    rank = form.codes.ndim
    output = {"Conv": 0, "ConvTranspose": 1, "MatMul": rank - 1}.get(
        node.op_type, 0 if attr_int(node, "transB", 0) else 1)
    if form.axis not in (None, output) or form.zero.any():
        return False
    if np.abs(form.codes).max(initial=0) > 127:
        return False
    if node.op_type == "MatMul" and rank != 2:
        return False
    shape = ctx.shape(codes.x)
    return not node.op_type.startswith("Conv") or codes.rows in (1, shape[0])


def lower_dynamic(ctx: Lowering, match: Match, node: ir.Node) -> None:
    """Emits the quantization, and binds its result as codes of scale 1 with a factor per row."""
    codes = match.codes
    shape = ctx.shape(codes.x)
    x = ctx.floats(codes.x, node)
    if codes.rows == prod(shape[:-1]) and len(shape) > 1 and codes.rows > 1:
        layout, _ = innermost(x.layout)
        x = ctx.relayout(x, layout, node)
    elif codes.rows > 1:
        x = ctx.row_major(x, node)
    name = match.value.name or "dynamic"
    quantized = ctx.new(f"{name}:codes", DType.I8, x.layout)
    factor = ctx.new(f"{name}:factor", DType.F32, Layout.row_major((codes.rows,)))
    ctx.emit("absmax_i8", node, x=x.tensor, y=quantized.tensor, r=factor.tensor, rows=codes.rows,
             n=prod(shape) // codes.rows, epsilon=codes.epsilon, levels=codes.levels,
             lo=codes.low, hi=codes.high, form=codes.form)
    ctx.row_factors[id(quantized.tensor)] = (quantized.tensor, factor.tensor, codes.rows)

    def compute() -> Buffer:
        raise Unsupported("a dynamically quantized tensor is read by an operator without integers")

    ctx.forms[match.value] = Scaled(quantized, compute, 1.0, 0)
    for inner in match.nodes:
        for value in inner.outputs:
            if value.name:
                ctx.folded[value.name] = node.name or node.op_type


"""Quantization by absmax at run time, in the one order of operations that lowering knows."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir

from ternc.passes._dynamic import Codes, match_codes, match_result
from ternc.passes._graph import (
    Builder,
    constant,
    graph_of,
    only_consumer,
    remove_dead,
    replace_value,
)
from ternc.passes._linear import weight_slots


class NormaliseDynamic(ir.passes.InPlacePass):
    """MatMul(q, W) / s → MatMul(q / s, W), and x + (Q(x) - x) → Q(x).

    q = clip(round(x * s)) with s = levels / max |x| of each row (`_dynamic` lists the forms); the
    division may be a multiplication by d where q = clip(round(x / d)), and per-channel constants
    may be multiplied or divided in between, which commute with it. Applies when the product is
    read by that scaling alone; a Gemm must have no bias, which would be scaled too.

    x + (Q(x) - x) is what the straight-through estimator leaves; it equals Q(x) up to rounding.
    """

    name: ClassVar[str] = "normalise_dynamic"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every sum and every linear operator."""
        modified = False
        for node in list(model.graph):
            if node.op_type == "Add":
                modified |= _straight_through(node)
        made: dict[ir.Value, ir.Value] = {}
        for node in list(model.graph):
            if node.op_type in ("MatMul", "Gemm", "Conv") and weight_slots(node):
                modified |= _hoist(node, made)
        return ir.passes.PassResult(model, modified)


def _straight_through(add: ir.Node) -> bool:
    for place in (0, 1):
        x, change = add.inputs[place], add.inputs[1 - place]
        subtract = change.producer() if change is not None else None
        if x is None or subtract is None or subtract.op_type != "Sub" \
                or subtract.inputs[1] is not x or subtract.inputs[0] is None:
            continue
        quantized = subtract.inputs[0]
        found = match_result(quantized)
        if found is not None and found.x is x:
            if add.outputs[0].is_graph_output():
                return False
            ir.convenience.replace_all_uses_with(add.outputs[0], quantized)
            remove_dead(graph_of(add), add)
            return True
    return False


def _hoist(node: ir.Node, made: dict[ir.Value, ir.Value]) -> bool:
    codes = node.inputs[0]
    found = match_codes(codes) if codes is not None else None
    if codes is None or found is None or (node.op_type != "MatMul" and len(node.inputs) > 2
                                          and node.inputs[2] is not None):
        return False
    scaling = _scaling(node, found)
    if scaling is None:
        return False
    place = 0 if scaling.inputs[1] is found.scale else 1
    inner = scaling.inputs[place]
    assert inner is not None
    if codes not in made:  # several layers may read the same codes
        made[codes] = Builder(node).node(
            scaling.op_type, [codes, found.scale], name=f"{codes.name}_scaled")
    node.replace_input_with(0, made[codes])
    replace_value(scaling.outputs[0], inner)
    remove_dead(graph_of(node), scaling)
    return True


def _scaling(node: ir.Node, found: Codes) -> ir.Node | None:
    """The node behind `node` that undoes the scale of its input, constants multiplied between."""
    value, wanted = node.outputs[0], "Mul" if found.divides else "Div"
    while (reader := only_consumer(value)) is not None and reader.op_type in ("Mul", "Div"):
        place = 0 if reader.inputs[0] is value else 1
        other = reader.inputs[1 - place]
        if other is found.scale and reader.op_type == wanted and (place == 0 or wanted == "Mul"):
            return reader
        if (place == 1 and reader.op_type == "Div") or constant(other) is None:
            return None
        value = reader.outputs[0]
    return None

"""Transposes between the operators of a fake quantization."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ternc.passes._graph import Builder, only_consumer, remove_dead, replace_value, scalar

_ELEMENTWISE = ("Round", "Clip", "Add", "Sub", "Mul", "Div")


def transpose_behind_rounding(graph: ir.Graph) -> bool:
    """f(Transpose(g(x))) → Transpose(f(g(x))), where f, g or what they lead to is a Round.

    f and g are elementwise, with scalars for other operands. TensorFlow's exporter moves layouts
    as far up as it can, which is often into the middle of what quantizes a layer's input.

    Must not touch a Transpose or an operator whose result something else reads too.
    """
    modified = False
    for node in reversed(list(graph)):  # the last one first: one never stops at the next
        if node.domain == "" and node.op_type == "Transpose" and _is_inside(node):
            moved: ir.Node | None = node
            while moved is not None and (after := _next(moved)) is not None \
                    and _is_elementwise(after):
                moved = _swapped(moved, after)
                modified = True
    return modified


def _is_inside(transpose: ir.Node) -> bool:
    before, after = _previous(transpose), _next(transpose)
    return before is not None and after is not None and _is_elementwise(before) \
        and _is_elementwise(after) and any(node.op_type == "Round" for node in _chain(transpose))


def _chain(node: ir.Node) -> Iterator[ir.Node]:
    """The elementwise operators around `node`, with the transposes among them."""
    for step in (_previous, _next):
        found = step(node)
        while found is not None and (found.op_type == "Transpose" or _is_elementwise(found)):
            yield found
            found = step(found)


def _previous(node: ir.Node) -> ir.Node | None:
    """What makes the one computed operand of `node`, for it alone."""
    computed = [value for value in node.inputs if value is not None and scalar(value) is None]
    if len(computed) != 1 or only_consumer(computed[0]) is not node:
        return None
    return computed[0].producer()


def _next(node: ir.Node) -> ir.Node | None:
    return only_consumer(node.outputs[0])


def _is_elementwise(node: ir.Node) -> bool:
    computed = [value for value in node.inputs if value is not None and scalar(value) is None]
    return node.domain == "" and node.op_type in _ELEMENTWISE and len(computed) == 1


def _swapped(transpose: ir.Node, after: ir.Node) -> ir.Node | None:
    """Puts `transpose` behind `after`; returns its new node."""
    build, result = Builder(after), after.outputs[0]
    source = transpose.inputs[0]
    assert source is not None
    inputs = [source if value is transpose.outputs[0] else value for value in after.inputs]
    attributes = {a.name: a.value for a in after.attributes.values()}
    early = build.node(after.op_type, inputs, attributes, dtype=result.dtype, shape=source.shape)
    attributes = {a.name: a.value for a in transpose.attributes.values()}
    late = build.node("Transpose", [early], attributes, dtype=result.dtype, shape=result.shape)
    replace_value(result, late)
    remove_dead(build.graph, after)
    return late.producer()

"""Tensors that are another one backwards along its first axis."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Builder, constant, remove_dead, replace_value, scalar, static_shape

_LOWEST: Final = -(2**31)


def is_reversal(node: ir.Node) -> bool:
    """Whether a node reverses the first axis of its input, and does nothing else."""
    shape = static_shape(node.inputs[0]) if node.inputs else None
    if shape is None or node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "ReverseSequence":
        lengths = constant(node.inputs[1])
        axes = node.attributes.get_int("time_axis", 0), node.attributes.get_int("batch_axis", 1)
        return axes == (0, 1) and lengths is not None and bool(np.all(lengths == shape[0]))
    if node.op_type != "Slice" or len(node.inputs) != 5:
        return False
    start, end, axis, step = (scalar(value) for value in node.inputs[1:])
    return (axis == 0 and step == -1 and start in (-1, shape[0] - 1)
            and end is not None and end < -shape[0])


def forward_source(value: ir.Value) -> tuple[ir.Value, bool]:
    """The sequence of which `value` is the reverse, and that it is; else `value` itself."""
    node = value.producer()
    if node is not None and is_reversal(node) and node.inputs[0] is not None:
        return node.inputs[0], True
    return value, False


def reversed_value(builder: Builder, value: ir.Value, stem: str) -> ir.Value:
    """A Slice that reverses `value`."""
    bounds = [builder.constant(name, np.array([bound], np.int64)) for name, bound in (
        ("start", -1), ("end", _LOWEST), ("axis", 0), ("step", -1))]
    return builder.node("Slice", [value, *bounds], name=f"{stem}_reversed")


def settle_reversals(graph: ir.Graph) -> bool:
    """Removes pairs of reversals, and writes a ReverseSequence of whole sequences as a Slice."""
    modified = False
    for node in list(graph):
        if node.graph is not graph or not is_reversal(node):
            continue
        before = node.inputs[0]
        assert before is not None
        source, twice = forward_source(before)
        output = node.outputs[0]
        if twice and not output.is_graph_output():
            ir.convenience.replace_all_uses_with(output, source)
        elif node.op_type == "ReverseSequence":
            replace_value(output, reversed_value(Builder(node), before, node.name or "sequence"))
        else:
            continue
        remove_dead(graph, node)
        modified = True
    return modified

"""Normalization of groups of channels, by the normalization that has a kernel."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from ternc.passes._graph import Builder, constant, graph_of, replace_value, static_shape

_NORMALIZATIONS: Final = ("GroupNormalization", "InstanceNormalization")


class NormaliseGroups(ir.passes.InPlacePass):
    """GroupNormalization(x) → LayerNormalization(x as [N, groups, -1]) as x * scale + bias.

    Applies to GroupNormalization (opset 21: a scale and a bias per channel) and, as one group a
    channel, to InstanceNormalization, of inputs whose shape is known.
    """

    name: ClassVar[str] = "normalise_groups"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites every such node, from the inputs on: onnx cannot infer the result's shape."""
        modified = False
        while any(node.op_type in _NORMALIZATIONS for node in model.graph.all_nodes()):
            common.ShapeInferencePass(strict_mode=False, data_prop=True)(model)
            found = [node for node in model.graph.all_nodes() if _groups(node)]
            if not found:
                break
            for node in found:
                _rewrite(node)
            modified = True
        return ir.passes.PassResult(model, modified)


def _groups(node: ir.Node) -> int:
    """Into how many groups the channels are divided, 0 for other nodes."""
    shape = static_shape(node.inputs[0]) if node.inputs and not node.domain else None
    if shape is None or len(shape) < 3:
        return 0
    match node.op_type:
        case "InstanceNormalization":
            return shape[1]
        case "GroupNormalization":
            return node.attributes.get_int("num_groups", 0)
    return 0


def _rewrite(node: ir.Node) -> None:
    x, scale, bias = node.inputs
    shape = static_shape(x)
    assert shape is not None
    groups = _groups(node)
    build, size = Builder(node), prod(shape[1:]) // groups
    grouped = build.node(
        "Reshape", [x, build.constant("groups", np.array([shape[0], groups, size], np.int64))],
        shape=[shape[0], groups, size])
    ones = build.constant("ones", np.ones(size, np.float32))
    normal = build.node("LayerNormalization", [grouped, ones], {
        "axis": -1, "epsilon": node.attributes.get_float("epsilon", 1e-5)})
    result = build.node(
        "Reshape", [normal, build.constant("shape", np.array(shape, np.int64))], shape=shape)
    for op_type, factor in (("Mul", scale), ("Add", bias)):
        result = build.node(
            op_type, [result, _per_channel(build, factor, len(shape))], shape=shape)
    replace_value(node.outputs[0], result)
    graph_of(node).remove(node, safe=True)


def _per_channel(build: Builder, value: ir.Value | None, rank: int) -> ir.Value:
    """`value` [C] as [C, 1, ...]."""
    assert value is not None
    array = constant(value)
    if array is not None:
        return build.constant(f"{value.name}", array.reshape(-1, *[1] * (rank - 2)))
    axes = build.constant("axes", np.arange(1, rank - 1))
    shape = static_shape(value)
    assert shape is not None
    return build.node("Unsqueeze", [value, axes], shape=[*shape, *[1] * (rank - 2)])

"""Chains of per-channel affine operators behind a layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import (
    Array,
    constant,
    dequantized_constant,
    input_at,
    matching_axis,
    only_consumer,
    static_shape,
)

_LAYOUT = ("Squeeze", "Unsqueeze", "Transpose", "Reshape", "Flatten", "Identity")


@dataclass(slots=True)
class Affine:
    """y = a·x + b per channel, in float64, and the nodes that compute it."""

    a: Array
    b: Array
    nodes: list[ir.Node] = field(default_factory=list)
    moved: bool = False  # a layout operator stands between the layer and the last node

    def then(self, a: Array, b: Array, node: ir.Node) -> None:
        """Applies a·y + b, which `node` computes, after what is here."""
        self.a, self.b = a * self.a, a * self.b + b
        self.nodes.append(node)


def affine_after(value: ir.Value, axis: int, channels: int) -> Affine:
    """What the operators behind `value` do to each channel along `axis`.

    The walk ends at a tensor that is read twice or is a graph output, and at an operator that is
    neither a per-channel affine nor moves whole channels.
    """
    total = Affine(np.ones(channels), np.zeros(channels))
    moved = False
    while True:
        node, shape = only_consumer(value), static_shape(value)
        if node is None or node.domain or shape is None or value.dtype != ir.DataType.FLOAT:
            return total
        if node.op_type in _LAYOUT and node.inputs[0] is value:
            new_axis = _axis_after(node, shape, axis)
            if new_axis is None:
                return total
            axis, moved = new_axis, True
        else:
            step = _step(node, value, shape, axis)
            if step is None or not all(np.all(np.isfinite(part)) for part in step):
                return total
            total.then(*step, node)
            total.moved = moved
        value = node.outputs[0]


def _axis_after(node: ir.Node, shape: tuple[int, ...], axis: int) -> int | None:
    if node.op_type == "Identity":
        return axis
    if node.op_type == "Transpose":
        default = list(reversed(range(len(shape))))
        return list(node.attributes.get_ints("perm", default)).index(axis)
    after = static_shape(node.outputs[0])
    return matching_axis(shape, after, axis) if after is not None else None


def _step(
    node: ir.Node, value: ir.Value, shape: tuple[int, ...], axis: int
) -> tuple[Array, Array] | None:
    channels = shape[axis]
    one, zero = np.ones(channels), np.zeros(channels)
    if node.op_type == "Neg":
        return -one, zero
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, value, axis)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first = node.inputs[0] is value
    other = node.inputs[1] if first else node.inputs[0]
    operand = per_channel(dequantized_constant(other), len(shape), axis, channels)
    if operand is None:
        return None
    match node.op_type:
        case "Add":
            return one, operand
        case "Sub":
            return (one, -operand) if first else (-one, operand)
        case "Mul":
            return operand, zero
    if not first or not np.all(operand):
        return None
    return 1 / operand, zero


def _batch_norm(node: ir.Node, value: ir.Value, axis: int) -> tuple[Array, Array] | None:
    parameters = [constant(input_at(node, index)) for index in range(1, 5)]
    known = [p.astype(np.float64) for p in parameters if p is not None]
    if len(known) < 4 or axis != 1 or node.inputs[0] is not value \
            or node.attributes.get_int("training_mode", 0) != 0 or len(node.outputs) > 1:
        return None
    gamma, beta, mean, variance = known
    a = gamma / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return a, beta - mean * a


def per_channel(array: Array | None, rank: int, axis: int, channels: int) -> Array | None:
    """`array` as one float64 per channel, None when it varies along another axis.

    A tensor of `rank` dimensions that `array` broadcasts with must keep its shape.
    """
    if array is None or array.ndim > rank or array.dtype.kind != "f":
        return None
    dims = (1,) * (rank - array.ndim) + array.shape
    if any(dim != 1 and (index != axis or dim != channels) for index, dim in enumerate(dims)):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64), (channels,))

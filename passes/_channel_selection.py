"""Fewer channels between two layers, or the same in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.passes._channels import Path, take
from ternc.passes._graph import (
    Builder,
    constant,
    dequantized_constant,
    fresh_name,
    graph_of,
    input_at,
    remove_dead,
    static_shape,
)

Array = npt.NDArray[Any]


def select(path: Path, keep: list[int]) -> None:
    """Leaves the channels `keep` of every tensor on the way, in that order."""
    maker, reader = path.maker, path.reader
    _take_input(maker, 1, keep, output_axis(maker))
    bias = input_at(maker, 2)
    if bias is not None and maker.op_type != "MatMul":
        array = dequantized_constant(bias)
        if array is not None and array.size > 1:
            _take_input(maker, 2, keep, array.ndim - 1)
    _resize(maker.outputs[0], path.axis, len(keep))
    axis, each = path.axis, 1
    for step in path.steps:
        if step.op_type == "Conv":
            _take_input(step, 1, keep, 0)
            if input_at(step, 2) is not None:
                _take_input(step, 2, keep, 0)
            step.attributes["group"] = ir.AttrInt64("group", len(keep))
        elif step.op_type == "Add":
            held = [dequantized_constant(v) is not None for v in step.inputs]
            _take_input(step, held.index(True), keep, 0)
        elif step.op_type in ("Flatten", "Reshape", "Squeeze"):
            step = _flatten(step)
            axis, each = 1, path.span
        _resize(step.outputs[0], axis, len(keep) * each)
    features = [j * path.span + i for j in keep for i in range(path.span)]
    _take_input(reader, 1, features, 1 - output_axis(reader))


def rename(path: Path, folded: dict[str, str], suffix: str) -> None:
    """The tensors on the way are not the user's any more: their channels are others.

    `folded` gets their names.
    """
    for node in (path.maker, *path.steps):
        value = node.outputs[0]
        old = value.name or ""
        folded[old] = path.reader.name or ""
        value.name = fresh_name(graph_of(path.reader), f"{old}_{suffix}")


def reader_matrix(path: Path) -> Array:
    """The reader's weights as [outputs, channels, weights of each]."""
    weights = dequantized_constant(path.reader.inputs[1])
    assert weights is not None
    if path.reader.op_type == "Conv":
        return weights.reshape(*weights.shape[:2], -1)
    if path.reader.op_type == "MatMul" or not path.reader.attributes.get_int("transB", 0):
        weights = weights.T
    return weights.reshape(len(weights), -1, path.span)


def output_axis(node: ir.Node) -> int:
    """The axis of a layer's weights that its outputs are on."""
    return int(node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)))


def _flatten(node: ir.Node) -> ir.Node:
    """A node that flattens whatever the number of channels is."""
    if node.op_type != "Reshape":
        return node
    shape = input_at(node, 1)
    target = constant(shape)
    before = static_shape(node.inputs[0])
    if target is not None and before is not None and len(target) == 2:
        builder = Builder(node)
        node.replace_input_with(1, builder.constant("shape", np.array([before[0], -1])))
    return node


def _take_input(node: ir.Node, index: int, keep: list[int], axis: int) -> None:
    value = node.inputs[index]
    assert value is not None
    node.replace_input_with(index, take(Builder(node), value, keep, axis))
    source = value.producer()
    if source is not None and not value.uses():
        remove_dead(graph_of(node), source)


def _resize(value: ir.Value, axis: int, size: int) -> None:
    assert value.shape is not None
    value.shape = ir.Shape([size if i == axis else d for i, d in enumerate(value.shape)])

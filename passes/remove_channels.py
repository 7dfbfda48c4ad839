"""Channels that are constant, or that nobody reads: what pruning leaves behind."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._channels import (
    Path,
    bias_of,
    bounds,
    flow,
    is_increasing,
    pads,
    path_from,
    take,
)
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


class RemoveChannels(ir.passes.InPlacePass):
    """reader(f(maker(x))) → the same with fewer channels between them.

    Applies to Conv of one group, Gemm and MatMul with constant weights, with activations,
    quantization, depthwise Conv, pooling and flattening between them. Channel j goes when

    1. every weight of the reader for it is 0; or
    2. it is the same everywhere and whatever the input, because every weight of the maker for it
       is 0, or because all that a quantized input allows becomes one value on the way (a Relu
       that is always off): the reader's bias takes what that adds up to.

    Must not apply to 2. where something on the way or the reader itself pads with zeros and the
    constant is not 0, nor to channels that anything else reads. One channel always stays.
    """

    name: ClassVar[str] = "remove_channels"

    def __init__(
        self, diagnostics: Diagnostics | None = None, folded: dict[str, str] | None = None
    ) -> None:
        self.diagnostics = diagnostics if diagnostics is not None else Diagnostics()
        self.folded = folded if folded is not None else {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """From the last layer to the first: what a reader drops, its maker need not make."""
        modified = False
        for node in reversed(list(model.graph)):
            path = path_from(node)
            if path is not None and self._shrink(path):
                modified = True
        return ir.passes.PassResult(model, modified)

    def _shrink(self, path: Path) -> bool:
        read = _read(path)
        known, v = _constants(path, len(read))
        known &= (v == 0) | _takes_constants(path.reader)
        if not (keep := np.flatnonzero(read & ~known)).size:
            keep = np.array([0])
        if len(keep) == len(read):
            return False
        gone = np.setdiff1d(np.flatnonzero(read), keep)
        if gone.size and np.any(v[gone]):
            _add_to_bias(path, gone, v[gone])
        maker = path.maker
        self.diagnostics.note(
            "TC0108", f"{len(read) - len(keep)} of {len(read)} channels are gone: "
            f"{int((~read).sum())} are multiplied by 0 only, {gone.size} are constant",
            node=maker.name or "")
        _cut(path, keep.tolist())
        for node in (maker, *path.steps):
            self._rename(node.outputs[0], path.reader)
        return True

    def _rename(self, value: ir.Value, reader: ir.Node) -> None:
        """The tensor is not the user's any more: it has fewer channels."""
        old = value.name or ""
        self.folded[old] = reader.name or ""
        value.name = fresh_name(graph_of(reader), f"{old}_kept")


def _matrix(path: Path) -> Array:
    """The reader's weights as [outputs, channels, weights of each]."""
    weights = dequantized_constant(path.reader.inputs[1])
    assert weights is not None
    if path.reader.op_type == "Conv":
        return weights.reshape(*weights.shape[:2], -1)
    if path.reader.op_type == "MatMul" or not path.reader.attributes.get_int("transB", 0):
        weights = weights.T
    return weights.reshape(len(weights), -1, path.span)


def _read(path: Path) -> npt.NDArray[np.bool_]:
    """Which channels any weight of the reader multiplies."""
    return np.asarray(_matrix(path).any(axis=(0, 2)))


def _constants(path: Path, channels: int) -> tuple[npt.NDArray[np.bool_], Array]:
    """Which channels are constant where the reader reads them, and what they hold there."""
    low, high = bounds(path.maker, channels, _rows(path.maker))
    known, v = low == high, low
    for step in path.steps:
        if is_increasing(step):
            _, low = flow(step, known, low)
            _, high = flow(step, known, high)
            known, v = low == high, low
        else:
            known, v = flow(step, known, np.where(known, v, 0))
            low, high = np.where(known, v, -np.inf), np.where(known, v, np.inf)
    return known, np.where(known, v, 0)


def _rows(node: ir.Node) -> int:
    """The axis of a layer's weights that its outputs are on."""
    return int(node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)))


def _takes_constants(reader: ir.Node) -> bool:
    """Whether the reader's bias can take the sum of a constant channel: it sees it everywhere."""
    bias = input_at(reader, 2)
    fits = bias is None or dequantized_constant(bias) is not None
    return reader.op_type != "MatMul" and not pads(reader) and fits \
        and reader.attributes.get_float("beta", 1.0) == 1.0


def _add_to_bias(path: Path, channels: Array, v: Array) -> None:
    """What constant channels add to every output; an int32 bias stays one where that is exact."""
    reader, builder = path.reader, Builder(path.reader)
    sums = _matrix(path)[:, channels].astype(np.float64).sum(2) @ v.astype(np.float64)
    sums *= reader.attributes.get_float("alpha", 1.0)
    bias = input_at(reader, 2)
    source = bias.producer() if bias is not None else None
    new: ir.Value | None = None
    if source is not None and constant(bias) is None:
        codes, scale = constant(source.inputs[0]), constant(source.inputs[1])
        assert codes is not None
        assert scale is not None
        steps = sums / scale.astype(np.float64)
        whole = np.rint(steps)
        if np.abs(steps - whole).max() < 1e-2 and np.abs(codes + whole).max() < 2**31:
            moved = builder.constant("bias", (codes + whole).astype(codes.dtype))
            new = builder.node("DequantizeLinear", [moved, *source.inputs[1:]],
                               {"axis": source.attributes.get_int("axis", 1)},
                               dtype=ir.DataType.FLOAT, shape=codes.shape,
                               name=f"{bias.name if bias is not None else ''}_moved")
    if new is None:
        total = bias_of(reader, len(sums)) + sums
        new = builder.constant("bias", total.astype(np.float32))
    if len(reader.inputs) < 3:
        reader.resize_inputs(3)
    reader.replace_input_with(2, new)
    remove_dead(graph_of(reader), source)


def _cut(path: Path, keep: list[int]) -> None:
    """Takes the channels out of every tensor on the way."""
    maker, reader = path.maker, path.reader
    _take_input(maker, 1, keep, _rows(maker))
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
    _take_input(reader, 1, features, 1 - _rows(reader))


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

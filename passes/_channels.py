"""Channels on their way from the layer that makes them to the layer that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.passes._graph import (
    Builder,
    constant,
    dequantized_constant,
    input_at,
    only_consumer,
    scalar,
    static_shape,
)

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_LIMITS: Final = MappingProxyType({ir.DataType.INT8: (-128, 127), ir.DataType.UINT8: (0, 255)})
_SPARE: Final = 1e-4  # of the largest sum: float32's rounding of sums, and integers'
_CONSTANT_KEEPERS: Final = ("MaxPool", "GlobalMaxPool", "GlobalAveragePool", "AveragePool")


def _clip(node: ir.Node, v: Array) -> Array | None:
    lo, hi = (None if input_at(node, i) is None else scalar(input_at(node, i)) for i in (1, 2))
    if any(input_at(node, i) is not None and found is None for i, found in ((1, lo), (2, hi))):
        return None
    return np.clip(v, -np.inf if lo is None else lo, np.inf if hi is None else hi)


def _quantize(node: ir.Node, v: Array) -> Array | None:
    scale, zero = scalar(input_at(node, 1)), constant(input_at(node, 2))
    if scale is None or zero is None or zero.size != 1 or zero.dtype not in (np.int8, np.uint8):
        return None
    limits = np.iinfo(zero.dtype)
    steps = np.rint(v / np.float32(scale)) + np.float32(zero.reshape(()))
    return np.clip(steps, limits.min, limits.max).astype(np.float32)


def _dequantize(node: ir.Node, v: Array) -> Array | None:
    scale, zero = scalar(input_at(node, 1)), scalar(input_at(node, 2)) or 0.0
    if scale is None or (input_at(node, 2) is not None and scalar(input_at(node, 2)) is None):
        return None
    return np.asarray((v - np.float32(zero)) * np.float32(scale))


def _leaky(node: ir.Node, v: Array) -> Array:
    alpha = np.float32(node.attributes.get_float("alpha", 0.01))
    return np.where(v < 0, alpha * v, v)


_FUNCTIONS: Final[Mapping[str, Callable[[ir.Node, Array], Array | None]]] = MappingProxyType({
    "Relu": lambda _, v: np.maximum(v, 0), "Identity": lambda _, v: v, "Clip": _clip,
    "LeakyRelu": _leaky, "Tanh": lambda _, v: np.tanh(v),
    "Sigmoid": lambda _, v: 1 / (1 + np.exp(-v)), "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
})


@dataclass(frozen=True, slots=True)
class Path:
    """From `maker`, whose output has channels on `axis`, by way of `steps` to `reader`.

    A channel of the maker is `span` features of the reader: a flattened image.
    """

    maker: ir.Node
    axis: int
    steps: tuple[ir.Node, ...]
    reader: ir.Node
    span: int


def path_from(maker: ir.Node) -> Path | None:
    """The path from a Conv, Gemm or MatMul to the next, if nothing else reads on the way."""
    shape = static_shape(maker.outputs[0])
    if not is_layer(maker) or shape is None:
        return None
    steps: list[ir.Node] = []
    axis, span, value = (1 if maker.op_type == "Conv" else len(shape) - 1), 1, maker.outputs[0]
    while (node := only_consumer(value)) is not None and node.domain == "":
        if is_layer(node) and node.inputs[0] is value:
            shape = static_shape(value)
            last = shape is not None and axis == (1 if node.op_type == "Conv" else len(shape) - 1)
            return Path(maker, axis, tuple(steps), node, span) if last else None
        flat = _flattens(node, axis) if span == 1 else 0
        if not flat and not _is_step(node, value, axis, span):
            return None
        axis, span = (1, flat) if flat else (axis, span)
        steps.append(node)
        value = node.outputs[0]
    return None


def is_layer(node: ir.Node) -> bool:
    """Whether the node multiplies by constant weights, one group of them."""
    if node.domain or node.op_type not in ("Conv", "Gemm", "MatMul") or len(node.inputs) < 2:
        return False
    weights = dequantized_constant(node.inputs[1])
    if weights is None or not can_take(node.inputs[1]) \
            or node.attributes.get_int("transA", 0) != 0:
        return False
    return weights.ndim == 2 if node.op_type != "Conv" else _groups(node) == 1


def _groups(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1)


def _is_depthwise(node: ir.Node) -> bool:
    if node.op_type != "Conv" or _groups(node) < 2:
        return False
    weights = dequantized_constant(node.inputs[1])
    return weights is not None and weights.shape[:2] == (_groups(node), 1) \
        and all(can_take(v) for v in node.inputs[1:])


def _is_addend(node: ir.Node, value: ir.Value, axis: int) -> bool:
    """Whether the node adds one constant per channel of the last axis."""
    shape = static_shape(value)
    other = next((v for v in node.inputs if v is not value), None)
    array = dequantized_constant(other)
    return node.op_type == "Add" and shape is not None and axis == len(shape) - 1 \
        and array is not None and array.shape == (shape[axis],) and can_take(other)


def _is_step(node: ir.Node, value: ir.Value, axis: int, span: int) -> bool:
    if node.op_type in _FUNCTIONS:
        return node.inputs[0] is value and _FUNCTIONS[node.op_type](
            node, np.zeros(1, np.float32)) is not None
    if span != 1 or len(node.outputs) > 1:
        return False
    if node.op_type in _CONSTANT_KEEPERS or _is_depthwise(node):
        return axis == 1 and node.inputs[0] is value
    return _is_addend(node, value, axis)


def _flattens(node: ir.Node, axis: int) -> int:
    """How many features a channel becomes; 0 when the node does something else."""
    before = static_shape(node.inputs[0])
    after = static_shape(node.outputs[0])
    if node.op_type not in ("Flatten", "Reshape", "Squeeze") or before is None or after is None:
        return 0
    if axis != 1 or len(after) != 2 or len(before) < 3 or after[0] != before[0]:
        return 0
    return int(np.prod(before[2:], dtype=np.int64))


def flow(node: ir.Node, known: Mask, v: Array) -> tuple[Mask, Array]:
    """Which channels are constant behind a step, and what they hold."""
    function = _FUNCTIONS.get(node.op_type)
    if function is not None:
        with np.errstate(over="ignore"):  # of exp in a sigmoid: it is 0 then
            after = function(node, v)
        assert after is not None
        return known, after.astype(np.float32)
    padded = pads(node)
    if node.op_type == "Add":
        addend = next(a for a in map(dequantized_constant, node.inputs) if a is not None)
        return known, v + addend.astype(np.float32)
    if node.op_type == "Conv":
        weights = dequantized_constant(node.inputs[1])
        assert weights is not None
        total = weights.reshape(len(weights), -1).sum(1, dtype=np.float32)
        dead = np.asarray(~weights.reshape(len(weights), -1).any(1))
        even = known & (v == 0) if padded else known
        return even | dead, np.where(dead, 0, v * total) + bias_of(node, len(v))
    counted = node.attributes.get_int("count_include_pad", 0)
    if node.op_type == "AveragePool" and padded and counted:
        return known & (v == 0), v
    return known, v


def is_increasing(node: ir.Node) -> bool:
    """Whether a step never turns the order of two values round: it then keeps bounds."""
    return node.op_type == "Add" or (node.op_type in _FUNCTIONS and not (
        node.op_type == "LeakyRelu" and node.attributes.get_float("alpha", 0.01) < 0))


def bounds(maker: ir.Node, channels: int, rows: int) -> tuple[Array, Array]:
    """The least and the largest value of each channel, for every input that there can be.

    They are infinite where the input is not a quantized tensor, and equal where every weight is 0;
    otherwise a little further apart than in exact arithmetic, for that of whoever runs it.

    Args:
        maker: Conv, Gemm or MatMul with constant weights.
        channels: That it makes.
        rows: The axis of its weights that they are on.
    """
    weights = dequantized_constant(maker.inputs[1])
    assert weights is not None
    matrix = np.moveaxis(weights, rows, 0).reshape(channels, -1).astype(np.float64)
    matrix *= maker.attributes.get_float("alpha", 1.0)
    bias = bias_of(maker, channels)
    dead = ~matrix.any(1)
    least, most = _input_range(maker.inputs[0])
    if not np.isfinite(most - least):
        return np.where(dead, bias, -np.inf), np.where(dead, bias, np.inf)
    if pads(maker):
        least, most = min(least, 0.0), max(most, 0.0)
    up, down = matrix.clip(min=0).sum(1), matrix.clip(max=0).sum(1)
    spare = _SPARE * ((up - down) * max(abs(least), abs(most)) + np.abs(bias))
    low, high = bias + up * least + down * most - spare, bias + up * most + down * least + spare
    ends = np.where(dead, bias, low), np.where(dead, bias, high)
    return ends[0].astype(np.float32), ends[1].astype(np.float32)


def _input_range(value: ir.Value | None) -> tuple[float, float]:
    """What a dequantized tensor can hold; infinite where it is no such tensor."""
    node = value.producer() if value is not None else None
    if node is not None and node.domain == "" and node.op_type == "DequantizeLinear":
        source = node.inputs[0]
        limits = _LIMITS.get(source.dtype) if source is not None and source.dtype else None
        found = None if limits is None else _dequantize(node, np.array(limits, np.float32))
        if found is not None and found.size == 2:
            return float(found.min()), float(found.max())
    return -np.inf, np.inf


def pads(node: ir.Node) -> bool:
    """Whether zeros may lie around what the node reads."""
    return any(node.attributes.get_ints("pads", ())) or node.attributes.get_string(
        "auto_pad", "NOTSET").startswith("SAME")


def bias_of(node: ir.Node, channels: int) -> Array:
    """The bias of a layer, zeros where it has none."""
    bias = dequantized_constant(input_at(node, 2)) if node.op_type != "MatMul" else None
    if bias is None:
        return np.zeros(channels, np.float32)
    beta = node.attributes.get_float("beta", 1.0)
    return np.asarray(np.broadcast_to(bias.reshape(-1), channels) * np.float32(beta), np.float32)


def can_take(value: ir.Value | None) -> bool:
    """Whether `take` can select from this constant."""
    if value is None or constant(value) is not None:
        return True
    node = value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        return False
    return not node.attributes.get_int("block_size", 0) and dequantized_constant(value) is not None


def take(builder: Builder, value: ir.Value, keep: Sequence[int], axis: int) -> ir.Value:
    """The constant with only the places `keep` of an axis; still dequantized where it was."""
    name = f"{(value.name or 'constant').rsplit('/', 1)[-1]}_kept"
    array = constant(value)
    if array is not None:
        return builder.constant(name, np.take(array, keep, axis) if array.ndim else array)
    node = value.producer()
    assert node is not None
    codes = constant(node.inputs[0])
    assert codes is not None
    over = node.attributes.get_int("axis", 1) % max(codes.ndim, 1)
    inputs = [builder.constant(name, np.take(codes, keep, axis))]
    for parameter in node.inputs[1:]:
        held = constant(parameter)
        assert held is not None
        along = held.ndim == 1 and held.size > 1 and over == axis
        inputs.append(builder.constant(f"{name}_{len(inputs)}",
                                       np.take(held, keep) if along else held))
    shape = [len(keep) if i == axis else n for i, n in enumerate(codes.shape)]
    return builder.node("DequantizeLinear", inputs, {"axis": over}, dtype=value.dtype,
                        shape=shape, name=f"{name}_real")

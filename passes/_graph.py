"""Small helpers that the passes share: constants, new nodes, replacing a node under its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

FloatArray = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[Any]
Attribute = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]

_SMALL_INTEGERS = (ml_dtypes.int2, ml_dtypes.uint2, ml_dtypes.int4, ml_dtypes.uint4)


def constant(value: ir.Value | None) -> Array | None:
    """The numpy array of a constant `value`, or None when it is computed or fed at run time."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The one number in a constant `value`, or None when it is not one constant number."""
    array = constant(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def as_int64(codes: Array) -> npt.NDArray[np.int64]:
    """Integer `codes` of any width, ONNX's packed ones included, as int64."""
    if codes.dtype in _SMALL_INTEGERS:
        codes = codes.astype(np.int8)
    return codes.astype(np.int64)


def dequantize(codes: Array, scale: Array, zero: Array | None, axis: int, block: int) -> Array:
    """ONNX's DequantizeLinear: (codes - zero) * scale, per tensor, per axis or blocked."""
    def spread(parameter: Array) -> Array:
        if parameter.size == 1 and parameter.ndim <= 1:
            return parameter.reshape(())
        if block:
            repeated = np.repeat(parameter, block, axis=axis)
            return np.take(repeated, range(codes.shape[axis]), axis=axis)
        return parameter.reshape([-1 if d == axis % codes.ndim else 1 for d in range(codes.ndim)])

    centred = as_int64(codes)
    if zero is not None:
        centred = centred - spread(as_int64(zero))
    return centred.astype(scale.dtype) * spread(scale)


def dequantized_constant(value: ir.Value | None) -> Array | None:
    """Like `constant`, but also evaluates a DequantizeLinear whose inputs are constants."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear":
        return constant(value)
    codes, scale = constant(node.inputs[0]), constant(node.inputs[1])
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if codes is None or scale is None:
        return None
    axis = node.attributes.get_int("axis", 1)
    return dequantize(codes, scale, zero, axis, node.attributes.get_int("block_size", 0))


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Input `index` of `node`, None when the optional input was left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def only_consumer(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`, None when several do or it is a graph output."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that `node` is in."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of `value` when every dimension of it is known."""
    if value is None or value.shape is None:
        return None
    dims = tuple(value.shape)
    return tuple(d for d in dims if isinstance(d, int)) if value.shape.is_static() else None


def _names(graph: ir.Graph) -> set[str]:
    taken = {value.name for value in (*graph.inputs, *graph.initializers.values())}
    taken |= {output.name for node in graph for output in node.outputs}
    return {name for name in taken if name}


def fresh_name(graph: ir.Graph, wanted: str) -> str:
    """`wanted`, with a number behind it when a value of `graph` already has that name."""
    taken, name, count = _names(graph), wanted, 1
    while name in taken:
        name, count = f"{wanted}_{count}", count + 1
    return name


def initializer(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    """A new initializer of `graph` that holds `array`, called `name` or nearly so."""
    name = fresh_name(graph, name)
    data = np.asarray(array)
    tensor = ir.tensor(np.ascontiguousarray(data).reshape(data.shape), name=name)
    value = ir.Value(name=name, const_value=tensor, shape=tensor.shape,  # type: ignore[arg-type]
                     type=ir.TensorType(tensor.dtype))
    graph.register_initializer(value)
    return value


class Builder:
    """Makes nodes in front of `anchor`, with fresh names and the anchor's origin."""

    def __init__(self, anchor: ir.Node) -> None:
        self.anchor = anchor
        self.graph = graph_of(anchor)
        self.stem = anchor.name or anchor.outputs[0].name or anchor.op_type

    def node(
        self, op_type: str, inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Attribute] | None = None, *,
        dtype: ir.DataType | None = None, shape: Sequence[int | ir.SymbolicDim] | ir.Shape | None
        = None, name: str = "",
    ) -> ir.Value:
        """The output of a new node; its type is that of its first input unless `dtype` says."""
        first = inputs[0]
        assert first is not None
        dtype = dtype if dtype is not None else first.dtype
        shape = shape if shape is not None else first.shape
        output = ir.Value(
            name=fresh_name(self.graph, name or f"{self.stem}_{op_type}"),
            type=ir.TensorType(dtype) if dtype is not None else None,
            shape=ir.Shape(shape) if shape is not None else None,
        )
        node = ir.node(op_type, inputs, attributes, outputs=[output], name=output.name,
                       metadata_props=dict(self.anchor.metadata_props))
        self.graph.insert_before(self.anchor, node)
        return output

    def constant(self, name: str, array: npt.ArrayLike) -> ir.Value:
        """A new initializer named after the anchor."""
        return initializer(self.graph, f"{self.stem}_{name}", array)


def replace_value(old: ir.Value, new: ir.Value) -> None:
    """Makes the new `new` stand for `old` everywhere, under the names of `old` and its node.

    `new` must hold the same numbers as `old`: names of tensors are how a user compares models.
    """
    name, producer, old_producer = old.name, new.producer(), old.producer()
    if producer is not None and old_producer is not None:
        producer.name = old_producer.name
    if new.shape is None:
        new.shape = old.shape
    if new.type is None:
        new.type = old.type
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name = None if not old.is_initializer() else old.name
    if producer is not None or new.is_initializer():
        new.name = name


def remove_dead(graph: ir.Graph, node: ir.Node | None) -> None:
    """Removes `node` if nothing reads its outputs, then what only it read."""
    if node is None or node.graph is not graph:
        return
    if any(value.uses() or value.is_graph_output() for value in node.outputs):
        return
    feeding = [value for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    for value in feeding:
        if value.is_initializer() and not value.uses() and not value.is_graph_output():
            assert value.name is not None
            graph.initializers.pop(value.name, None)
        remove_dead(graph, value.producer())


def opset(model: ir.Model) -> int:
    """The version of the default operator set that `model` imports."""
    return model.graph.opset_imports.get("", 1)


def matching_axis(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """The axis of `after` that is axis `axis` of `before`, None if the reshape broke it up."""
    outer, size = math.prod(before[:axis]), before[axis]
    for index, dim in enumerate(after):
        if dim == size and math.prod(after[:index]) == outer:
            return index
    return None


def name_nodes(graph: ir.Graph) -> None:
    """Gives every node a name of its own: its first output's where it has none or not alone."""
    taken = {node.name for node in graph if node.name}
    seen: set[str] = set()
    for node in graph:
        if not node.name or node.name in seen:
            wanted = next((value.name for value in node.outputs if value.name), node.op_type)
            name, count = wanted, 1
            while name in taken or name in seen:
                name, count = f"{wanted}_{count}", count + 1
            node.name = name
        seen.add(node.name)

"""A quantized model, layer by layer: each compiled alone and fed what onnxruntime computed.

A layer is a maximal subgraph from DequantizeLinear outputs to the next QuantizeLinear. Compared
alone, layers do not pass their rounding on to each other, so every integer must be onnxruntime's
within 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

Array = npt.NDArray[np.generic]

_FED = ":fed"  # a layer's input may have the name of its own output
_FLOATS = frozenset({
    onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16,
})
_CUTS = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True, slots=True)
class LayerResult:
    """How far one output of a layer was from onnxruntime over all samples.

    `worst` counts integer steps for integer outputs, and is relative to the largest value for
    float outputs; `wrong` of `count` elements differed at all (integers), or by more than 1e-5.
    """

    name: str
    op_types: tuple[str, ...]
    worst: float
    wrong: int
    count: int
    integer: bool

    @property
    def passed(self) -> bool:
        """Whether integers agree within 1, floats within 1e-5."""
        return self.worst <= (1 if self.integer else 1e-5)


@dataclass(slots=True)
class _Graph:
    """The model's graph with what the split needs to know of it."""

    proto: onnx.GraphProto
    producer: dict[str, onnx.NodeProto] = field(default_factory=dict)
    consumers: dict[str, list[onnx.NodeProto]] = field(default_factory=lambda: defaultdict(list))
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    types: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    constant_values: set[str] = field(default_factory=set)  # computed from constants alone

    def __post_init__(self) -> None:
        self.constants = {tensor.name: tensor for tensor in self.proto.initializer}
        self.constant_values = set(self.constants)
        for node in self.proto.node:
            for name in node.output:
                self.producer[name] = node
            for name in set(node.input):
                self.consumers[name].append(node)
            if all(not name or name in self.constant_values for name in node.input):
                self.constant_values.update(node.output)
        for value in (*self.proto.value_info, *self.proto.input, *self.proto.output):
            self.types[value.name] = value

    def is_constant(self, node: onnx.NodeProto) -> bool:
        return all(name in self.constant_values for name in node.output)


def split_layers(model: ir.Model | onnx.ModelProto) -> list[onnx.ModelProto]:
    """The layers of a Q/DQ model, each a model of its own, in graph order.

    Inputs are named as the tensors that feed the layer with ":fed" behind, outputs as the tensors
    that it produces. Constants, and the DequantizeLinear in front, are repeated in each layer that
    reads them.
    """
    proto = model if isinstance(model, onnx.ModelProto) else ir.to_proto(model)
    proto = onnx.shape_inference.infer_shapes(proto)
    graph = _Graph(proto.graph)
    layers = []
    for members in _components(graph):
        made = _extract(proto, graph, members)
        if made is not None:
            layers.append(made)
    return layers


def _components(graph: _Graph) -> list[list[onnx.NodeProto]]:
    """Nodes that are joined by float tensors; DequantizeLinear and constants belong to none."""
    group: dict[int, int] = {}

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    inner = [node for node in graph.proto.node
             if node.op_type != "DequantizeLinear" and not graph.is_constant(node)]
    for node in inner:
        group[id(node)] = id(node)
    for node in inner:
        if node.op_type == "QuantizeLinear":
            continue
        for name in node.output:
            for reader in graph.consumers[name]:
                if id(reader) in group:
                    group[root(id(reader))] = root(id(node))
    out: dict[int, list[onnx.NodeProto]] = defaultdict(list)
    for node in inner:
        out[root(id(node))].append(node)
    return list(out.values())


def _extract(
    model: onnx.ModelProto, graph: _Graph, members: list[onnx.NodeProto]
) -> onnx.ModelProto | None:
    produced = {name for node in members for name in node.output}
    nodes: list[onnx.NodeProto] = []
    inputs: dict[str, str] = {}  # name in the model -> name in the layer
    initializers: dict[str, onnx.TensorProto] = {}
    done: set[str] = set()

    def fed(name: str) -> str:
        return inputs.setdefault(name, name + _FED)

    def need(name: str) -> None:
        """Brings in a constant, or the DequantizeLinear in front of the layer."""
        if not name or name in done:
            return
        done.add(name)
        if name in graph.constants:
            initializers[name] = graph.constants[name]
            return
        source = graph.producer[name]
        copy = onnx.NodeProto()
        copy.CopyFrom(source)
        for i, operand in enumerate(source.input):
            if operand in graph.constant_values or not operand:
                need(operand)
            else:
                copy.input[i] = fed(operand)
        nodes.append(copy)

    for node in members:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for i, name in enumerate(node.input):
            source = graph.producer.get(name)
            if not name or (name in produced and source in members
                            and source is not None and source.op_type != "QuantizeLinear"):
                continue
            if name in graph.constant_values or (
                    source is not None and source.op_type == "DequantizeLinear"):
                need(name)
            else:
                copy.input[i] = fed(name)
        nodes.append(copy)
    ends = {value.name for value in graph.proto.output}
    outputs = [
        name for node in members for name in node.output
        if name and (name in ends or any(id(r) not in {id(m) for m in members}
                                         for r in graph.consumers[name])
                     or (node.op_type == "QuantizeLinear"))
    ]
    if not outputs or not inputs:
        return None
    layer = onnx.ModelProto()
    layer.CopyFrom(model)
    layer.ClearField("graph")
    layer.graph.name = members[-1].name or outputs[-1]
    layer.graph.node.extend(nodes)
    layer.graph.initializer.extend(initializers.values())
    for name, new in inputs.items():
        layer.graph.input.append(_named(graph.types[name], new))
    for name in dict.fromkeys(outputs):
        layer.graph.output.append(_named(graph.types[name], name))
    for name in produced:
        if name in graph.types and name not in outputs:
            layer.graph.value_info.append(graph.types[name])
    return layer


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


def fed_name(name: str) -> str:
    """The tensor of the whole model that a layer's input takes."""
    return name.removesuffix(_FED)


def check_layers(
    model: ir.Model | onnx.ModelProto, feeds: Iterable[Mapping[str, Array]]
) -> list[LayerResult]:
    """Compares each layer of a Q/DQ model, run by the C runtime, with onnxruntime.

    Args:
        model: with static shapes, as it was lowered.
        feeds: samples for the whole model.

    Raises:
        CompileError: a layer cannot be compiled alone.
        OracleError: onnxruntime cannot run the model.
    """
    from ternc.compiler import compile
    from ternc.oracle import Oracle

    layers = split_layers(model)
    compiled = [compile(layer, "host", check_fit=False) for layer in layers]
    wanted = dict.fromkeys(
        name for layer in layers
        for name in (*(fed_name(value.name) for value in layer.graph.input),
                     *(value.name for value in layer.graph.output)))
    oracle = Oracle(model)
    found: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for feed in feeds:
        values = oracle.run(feed, wanted)
        for layer, item in zip(layers, compiled, strict=True):
            answers = item.run({v.name: values[fed_name(v.name)] for v in layer.graph.input})
            for name, answer in answers.items():
                found[name].append((*difference(answer, values[name]), answer.size))
    return [
        LayerResult(
            layer.graph.name,
            tuple(node.op_type for node in layer.graph.node if node.op_type not in _CUTS),
            max(far for far, _, _ in found[value.name]),
            sum(wrong for _, wrong, _ in found[value.name]),
            sum(count for _, _, count in found[value.name]),
            value.type.tensor_type.elem_type not in _FLOATS)
        for layer in layers for value in layer.graph.output if value.name in found
    ]


def difference(found: Array, wanted: Array) -> tuple[float, int]:
    """(how far, how many elements) two arrays differ: integers by steps, floats relatively."""
    if wanted.dtype.kind == "f":
        a, b = found.astype(np.float64), wanted.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities too
        with np.errstate(invalid="ignore"):
            far = np.where(same, 0.0, np.abs(a - b))
        finite = np.abs(b[np.isfinite(b)])
        relative = far / max(float(finite.max()) if finite.size else 0.0, 1e-6)
        relative = np.nan_to_num(relative, nan=np.inf, posinf=np.inf)
        return float(relative.max(initial=0.0)), int((relative > 1e-5).sum())
    steps = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
    return float(steps.max(initial=0)), int((steps > 0).sum())

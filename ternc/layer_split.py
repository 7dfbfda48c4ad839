"""A quantized model taken apart into its layers.

A layer is a maximal subgraph from DequantizeLinear outputs to the next QuantizeLinear.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir

_FED = ":fed"  # a layer's input may have the name of its own output


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

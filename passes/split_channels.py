"""One linear layer as two, side by side, so that its output channels can differ in precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._channel_selection import rename, select
from ternc.passes._channels import path_from
from ternc.passes._graph import Array, constant, graph_of, initializer, input_at, only_consumer
from ternc.passes._linear import Slot, weight_slots


@dataclass(frozen=True, slots=True)
class Split:
    """The first `channels` output channels of a layer, and the rest.

    `order` is which channels they are, where they do not stay in theirs.
    """

    channels: int
    order: tuple[int, ...] | None = None


class SplitChannels(ir.passes.InPlacePass):
    """y = op(x, W) becomes y = Concat(op(x, W[:k]), op(x, W[k:])), k by the name of the node.

    Applies to Conv of one group, Gemm and MatMul with constant float weights and a constant bias
    or none. A bias added to a MatMul, and a Relu or Clip, which integer kernels compute with the
    layer, are split with it. The parts of node n are named n[:k] and n[k:].

    With an order, the next layer reads the channels in that order; nothing else may read them,
    and between the two may only be what keeps channels apart. `folded` gets the names of the
    tensors between them, which are other tensors now.
    """

    name: ClassVar[str] = "split_channels"

    def __init__(
        self, splits: Mapping[str, Split], folded: dict[str, str] | None = None
    ) -> None:
        self.splits = splits
        self.folded = folded if folded is not None else {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Splits every node that `splits` names."""
        nodes = [node for node in model.graph if node.name in self.splits]
        for node in nodes:  # all in their order first: what is split ends no path any more
            order = self.splits[node.name or ""].order
            if order is not None:
                path = path_from(node)
                assert path is not None
                select(path, list(order))
                rename(path, self.folded, "ordered")
        for node in nodes:
            channels = self.splits[node.name or ""].channels
            assert channels_of(node) > channels > 0
            _split(node, channels)
        return ir.passes.PassResult(model, bool(nodes))


def part_names(node: str, channels: int) -> tuple[str, str]:
    """What the two parts of a node are called."""
    return f"{node}[:{channels}]", f"{node}[{channels}:]"


def channels_of(node: ir.Node) -> int:
    """How many output channels a node has that can be split, else 0."""
    slots = weight_slots(node)
    if node.op_type not in ("Conv", "Gemm", "MatMul") or not slots:
        return 0
    weights, bias = constant(slots[0].weight), input_at(node, 2)
    if weights is None or weights.dtype != np.float32 \
            or node.attributes.get_int("group", 1) != 1 \
            or (node.op_type == "MatMul" and weights.ndim != 2) \
            or (bias is not None and _along(constant(bias), weights.shape[slots[0].axis]) is None):
        return 0
    return int(weights.shape[slots[0].axis])


def _along(array: Array | None, channels: int) -> Array | None:
    """`array` with its last axis along the channels, None for one that is not a bias of them."""
    if array is None or array.size not in (1, channels) or (
            array.size > 1 and array.shape[-1] != channels):
        return None
    return np.broadcast_to(array.reshape(-1), (channels,))


def _split(node: ir.Node, channels: int) -> None:
    (slot,) = weight_slots(node)
    chain = _chain(node, channels_of(node))
    graph, last = graph_of(node), chain[-1].outputs[0]
    axis = 1 if node.op_type == "Conv" else len(last.shape or ()) - 1
    total = channels_of(node)
    ends = []
    for name, part in zip(part_names(node.name or "", channels),
                          (slice(None, channels), slice(channels, None)), strict=True):
        value = node.inputs[0]
        for member in chain:
            assert value is not None
            made = _copy(member, value, slot, part, total, name)
            made.name = name if member is node else f"{name}_{member.op_type}"
            made.outputs[0].name = f"{made.name}_out"
            shape = list(member.outputs[0].shape or ())
            shape[axis] = channels if part.start is None else total - channels
            made.outputs[0].shape = ir.Shape(shape)
            made.outputs[0].type = member.outputs[0].type
            graph.insert_before(node, made)
            value = made.outputs[0]
        ends.append(value)
    joined = ir.node("Concat", ends, {"axis": axis}, name=f"{node.name}_joined")
    output = joined.outputs[0]
    output.shape, output.type = last.shape, last.type
    graph.insert_after(chain[-1], joined)
    output.name, last.name = last.name, f"{last.name}_whole"
    ir.convenience.replace_all_uses_with(last, output, replace_graph_outputs=True)
    read = [value for member in chain for value in member.inputs]
    for member in reversed(chain):
        graph.remove(member, safe=True)
    for value in read:
        if value is not None and value.is_initializer() and not value.uses():
            graph.initializers.pop(value.name or "", None)


def _chain(node: ir.Node, channels: int) -> list[ir.Node]:
    """`node` and what integer kernels compute with it."""
    chain = [node]
    after = only_consumer(node.outputs[0])
    if node.op_type == "MatMul" and after is not None and after.op_type == "Add":
        place = 1 if after.inputs[0] is node.outputs[0] else 0
        if _along(constant(after.inputs[place]), channels) is not None:
            chain.append(after)
            after = only_consumer(after.outputs[0])
    if after is not None and after.op_type in ("Relu", "Clip") \
            and after.inputs[0] is chain[-1].outputs[0] \
            and all(v is None or constant(v) is not None for v in after.inputs[1:]):
        chain.append(after)
    return chain


def _copy(
    member: ir.Node, value: ir.Value | None, slot: Slot, part: slice, total: int, name: str
) -> ir.Node:
    """`member` reading `value`, with the channels in `part` of its constants."""
    graph, inputs = graph_of(slot.node), list(member.inputs)
    if member is slot.node:
        weights = constant(slot.weight)
        assert weights is not None
        places = [part if axis == slot.axis else slice(None) for axis in range(weights.ndim)]
        inputs[0] = value
        inputs[1] = initializer(graph, f"{name}_weight", weights[tuple(places)])
        if len(inputs) > 2 and inputs[2] is not None:
            bias = _along(constant(inputs[2]), total)
            assert bias is not None
            inputs[2] = initializer(graph, f"{name}_bias", bias[part])
    elif member.op_type == "Add":
        place = 1 if constant(inputs[1]) is not None else 0
        bias = _along(constant(inputs[place]), total)
        assert bias is not None
        inputs[place] = initializer(graph, f"{name}_bias", bias[part])
        inputs[1 - place] = value
    else:
        inputs[0] = value
    return ir.node(member.op_type, inputs, dict(member.attributes),
                   metadata_props=dict(member.metadata_props))

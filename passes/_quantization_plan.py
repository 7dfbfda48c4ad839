"""Where `Quantize` puts its QuantizeLinear and DequantizeLinear pairs, decided without data."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

import onnx_ir as ir
from onnx_ir.passes import common

from ternc.passes._graph import constant, input_at, only_consumer, scalar, static_shape
from ternc.passes._linear import RECURRENT

LINEAR: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_ACTIVATIONS: Final = frozenset({"Relu", "Clip"})
_QUANTIZERS: Final = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
# Operators that only move or choose elements of input 0: the output keeps its scale.
_MOVEMENT: Final = frozenset({
    "CenterCropPad", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements",
    "GatherND", "GlobalMaxPool", "Identity", "MaxPool", "Pad", "ReduceMax", "ReduceMin", "Reshape",
    "Resize", "ReverseSequence", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK",
    "Transpose", "Trilu", "Unsqueeze",
})
_SCALE_OPERATORS: Final = frozenset({
    "Abs", "Clip", "Div", "Max", "Mul", "ReduceMax", "Reciprocal", "Reshape", "Squeeze",
    "Unsqueeze",
})
_FIXED: Final = {
    "Sigmoid": (1 / 256, -128),
    "Softmax": (1 / 256, -128),
    "Tanh": (1 / 128, 0),
}


@dataclass(frozen=True, slots=True)
class Observed:
    """The range comes from calibration: the tensor's own, or that of `joined`.

    The latter is the Concat that alone reads the tensor, which so has nothing to rescale.
    """

    joined: ir.Value | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """The operator's results have a known range."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Shares:
    """What a Softmax gives to other layers: at most 1, far less where it shares among many."""


@dataclass(frozen=True, slots=True)
class SameAs:
    """The parameters of `value`, which this tensor's elements come from."""

    value: ir.Value


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that a Gather takes from a constant; `table` gets int8 codes of its own range."""

    table: ir.Value


Source = Observed | Fixed | Shares | SameAs | Table


@dataclass(frozen=True, slots=True)
class Point:
    """A tensor to quantize; `stays_float`: its producer, and readers in `kept`, use floats.

    Of 8 bits, asymmetric, or of 16, symmetric: the latter wherever its producer or one of its
    readers works in 16.
    """

    value: ir.Value
    source: Source
    stays_float: bool = False
    bits: int = 8


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of the activations: `bits` for every node but those named in `narrow` and `wide`."""

    bits: int = 8
    narrow: frozenset[str] = frozenset()
    wide: frozenset[str] = frozenset()

    def is_wide(self, chain: list[ir.Node]) -> bool:
        """Whether nodes that are computed together work in 16 bits."""
        names = {member.name or "" for member in chain}
        return bool(names & self.wide) or (self.bits == 16 and not names & self.narrow)


_NARROW: Final = Widths()


@dataclass(slots=True)
class Plan:
    """The points in graph order, the nodes that stay float, and the tensors known to be constant.

    `absorbed` are the tensors between an operator and the bias or activation fused into it.
    """

    points: dict[ir.Value, Point] = field(default_factory=dict)
    kept: set[ir.Node] = field(default_factory=set)
    constants: set[ir.Value] = field(default_factory=set)
    absorbed: set[ir.Value] = field(default_factory=set)


def plan_quantization(
    model: ir.Model, keep_float: AbstractSet[str], widths: Widths = _NARROW
) -> Plan:
    """The plan for `model`, whose nodes are in topological order."""
    if any(value.dtype is None for node in model.graph for value in node.outputs if value.name):
        common.ShapeInferencePass(data_prop=True)(model)
    plan = Plan()
    wide: set[ir.Node] = set()
    narrow: set[ir.Node] = set()
    for node in model.graph:
        if _is_constant(node, plan):
            plan.constants.update(node.outputs)
    for node in model.graph:
        chain = _fused(node, plan)
        plan.absorbed.update(member.outputs[0] for member in chain[:-1])
        if any((member.name or "") in keep_float for member in chain):
            plan.kept.update(chain)
        if widths.is_wide(chain):
            wide.update(chain)
        elif node.op_type in RECURRENT:
            narrow.add(node)
    for node in model.graph:
        if node.op_type == "Round" and node.outputs[0] not in plan.constants:
            plan.kept.update(_dynamic_quantization(node, plan))
    for value in model.graph.inputs:
        if _is_float(value) and any(
            use.node.op_type not in _QUANTIZERS and use.node not in plan.kept
            for use in value.uses()
        ):
            plan.points[value] = Point(value, Observed())
    for node in model.graph:
        if node.op_type == "DequantizeLinear":
            continue
        for value in node.outputs:
            _add_point(node, value, plan)
    _widen(plan, wide, narrow)
    return plan


def _widen(plan: Plan, wide: set[ir.Node], narrow: set[ir.Node]) -> None:
    """Gives the points around the nodes in `wide` 16 bits; what is only moved keeps its width.

    Those around the nodes in `narrow`, which have no form for 16, keep 8.
    """
    def touches(value: ir.Value, nodes: set[ir.Node]) -> bool:
        return value.producer() in nodes or any(use.node in nodes for use in value.uses())

    found = {value for value in plan.points
             if touches(value, wide) and not touches(value, narrow)}
    moved = [(value, point.source.value) for value, point in plan.points.items()
             if isinstance(point.source, SameAs)]
    for value, origin in reversed(moved):
        if value in found and not touches(origin, narrow):
            found.add(origin)
    for value, origin in moved:
        (found.add if origin in found else found.discard)(value)
    plan.points.update({value: replace(plan.points[value], bits=16) for value in found})


def _add_point(node: ir.Node, value: ir.Value, plan: Plan) -> None:
    if not _is_float(value) or value in plan.constants or value in plan.absorbed:
        return
    readers = [use.node for use in value.uses() if use.node.op_type not in _QUANTIZERS]
    kept = node in plan.kept
    if kept and all(reader in plan.kept for reader in readers):
        return
    if readers or value.is_graph_output():
        source = Observed() if kept else _source(node, plan)
        if source == Observed() and not kept:
            source = Observed(_joined(value, plan))
        plan.points[value] = Point(value, source, stays_float=kept)


def _joined(value: ir.Value, plan: Plan) -> ir.Value | None:
    """The result of the Concat that alone reads `value`."""
    reader = only_consumer(value)
    if reader is None or reader.op_type != "Concat" or reader in plan.kept:
        return None
    found = reader.outputs[0]
    return found if found.uses() or found.is_graph_output() else None


def _source(node: ir.Node, plan: Plan) -> Source:
    if node.domain not in ("", "ai.onnx"):
        return Observed()
    if node.op_type == "Softmax" and not node.outputs[0].is_graph_output():
        return Shares()
    if node.op_type in _FIXED:
        return Fixed(*_FIXED[node.op_type])
    if node.op_type not in _MOVEMENT:
        return Observed()
    if node.op_type == "Resize" and node.attributes.get_string("mode", "nearest") != "nearest":
        return Observed()
    padding = input_at(node, 2) if node.op_type == "Pad" else None
    if padding is not None and scalar(padding) != 0.0:
        return Observed()
    origin = node.inputs[0]
    assert origin is not None
    if origin in plan.points:
        return SameAs(origin)
    if node.op_type == "Gather" and constant(origin) is not None:
        return Table(origin)
    return Observed()


def _fused(node: ir.Node, plan: Plan) -> list[ir.Node]:
    """`node` and what one integer kernel computes with it: a MatMul's bias, then Relu or Clip."""
    chain = [node]
    if node.op_type == "MatMul":
        bias = only_consumer(node.outputs[0])
        if bias is not None and bias.op_type == "Add" and _is_bias(bias, node.outputs[0], plan):
            chain.append(bias)
    if node.op_type not in LINEAR and node.op_type != "Add":
        return chain
    activation = only_consumer(chain[-1].outputs[0])
    if activation is None or activation.op_type not in _ACTIVATIONS:
        return chain
    # Bounds that are computed make a Clip an operator of its own.
    bounds = [bound for bound in activation.inputs[1:] if bound is not None]
    if activation.inputs[0] is chain[-1].outputs[0] and all(map(_known, bounds)):
        chain.append(activation)
    return chain


def _dynamic_quantization(rounding: ir.Node, plan: Plan) -> set[ir.Node]:
    """The nodes of a quantization by absmax at run time around `rounding`, as BitLinear has it.

    x -> Abs -> ReduceMax -> ... -> s; round(x * s), clipped, / s; and the linear operators that
    read the result. Empty when `rounding` is something else: static int8 in the middle of these
    would quantize the values twice and the scales coarsely.
    """
    scaling = _input_producer(rounding)
    if scaling is None or scaling.op_type not in ("Mul", "Div"):
        return set()
    found = {rounding, scaling}
    pending = [value.producer() for value in scaling.inputs if value is not None]
    while pending:
        node = pending.pop()
        # Whatever lies before Abs is the layer that produced x.
        if node is None or node in found or node.op_type not in _SCALE_OPERATORS:
            continue
        found.add(node)
        if node.op_type != "Abs":
            pending += [value.producer() for value in node.inputs if value is not None]
    if not any(node.op_type == "Abs" for node in found):
        return set()
    result = rounding.outputs[0]
    while (reader := only_consumer(result)) is not None and reader.op_type in (
        "Clip", "Mul", "Div", "Cast"
    ):
        found.add(reader)
        result = reader.outputs[0]
    for use in result.uses():
        if use.node.op_type in LINEAR:
            found.update(_fused(use.node, plan))
    return found


def _input_producer(node: ir.Node) -> ir.Node | None:
    """The node that computes input 0 of `node`."""
    value = input_at(node, 0)
    return value.producer() if value is not None else None


def _known(bound: ir.Value) -> bool:
    return scalar(bound) is not None


def _is_bias(add: ir.Node, product: ir.Value, plan: Plan) -> bool:
    """Whether `add` adds a constant that is one number for each output channel."""
    other = add.inputs[1] if add.inputs[0] is product else add.inputs[0]
    if other is None or not (other in plan.constants or constant(other) is not None):
        return False
    shape, added = static_shape(product), static_shape(other)
    if shape is None or added is None:
        return False
    extents = [extent for extent in added if extent != 1]
    return len(added) <= len(shape) and (
        not extents or (len(extents) == 1 and added[-1] == shape[-1] == extents[0])
    )


def _is_constant(node: ir.Node, plan: Plan) -> bool:
    """Whether `node` computes from constants alone, as the DequantizeLinear of a weight does."""
    if node.op_type.startswith("Random") or any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for attribute in node.attributes.values()
    ):
        return False
    return all(
        value is None or value in plan.constants or constant(value) is not None
        for value in node.inputs
    )


def _is_float(value: ir.Value) -> bool:
    return value.dtype is ir.DataType.FLOAT

"""Static int8 and int16: QuantizeLinear and DequantizeLinear around the integer kernels' work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import constant, fresh_name, initializer
from ternc.passes._int8_weights import drop_unused, quantize_weights_of
from ternc.passes._quantization_plan import (
    Fixed,
    Observed,
    Plan,
    Point,
    SameAs,
    Shares,
    Table,
    Widths,
    plan_quantization,
)
from ternc.quantize import AffineParameters, affine_parameters, quantize

_INT8 = Widths()
# What stands in for the scale of a tensor that was 0 throughout calibration.
_ARBITRARY = {8: AffineParameters(1 / 128, 0), 16: AffineParameters(1 / 128, 0, 16)}
# Of results within [-1, 1], in 16 bits.
_UNIT = AffineParameters(2.0**-15, 0, 16)
# An input beyond what calibration saw costs far more by saturating than half of the resolution
# does, of which 16 bits have one to spare.
_HEADROOM = 2.0
_TYPES = {8: ir.DataType.INT8, 16: ir.DataType.INT16}


def tensors_to_observe(
    model: ir.Model, keep_float: AbstractSet[str] = frozenset()
) -> tuple[str, ...]:
    """Names of the tensors whose ranges `Quantize` needs, in graph order."""
    points = plan_quantization(model, keep_float).points.values()
    return tuple(dict.fromkeys(
        _observed(point).name or "" for point in points
        if isinstance(point.source, Observed | Shares)))


def _observed(point: Point) -> ir.Value:
    joined = point.source.joined if isinstance(point.source, Observed) else None
    return joined or point.value


class Quantize(ir.passes.InPlacePass):
    """y = op(x, w) becomes y = DQ(Q(op(DQ(x), DQ(w)))), int8 or int16 throughout.

    Applies to float32 tensors of a model with static shapes whose batch normalization is folded.

    * Weights of Conv, ConvTranspose, Gemm, MatMul: symmetric int8 for each output channel. One
      that comes from a DequantizeLinear (ternary) stays. Biases and other constants stay float.
    * Activations: asymmetric int8 per tensor, or where `widths` says so symmetric int16 with
      twice the range, from `ranges`, which always include 0. A bias added
      to a MatMul and a Relu or Clip after Conv, ConvTranspose, Gemm, MatMul or Add is computed
      with it: Q and DQ come after.
    * Operators that move elements pass on their input's scale; what only a Concat reads takes the
      scale of its result. Softmax and Sigmoid have scale 1/256 and zero point -128, Tanh 1/128
      and 0; in int16 all three have 2^-15 and 0. A Softmax within the model has twice the range
      from `ranges` where that is less: of shares among many, 1/256 would leave little.
    * A node named in `keep_float` reads and writes floats: DQ before it, Q after it, nothing
      between two of them. So does a quantization by absmax at run time (BitLinear), with the
      linear operator that reads it. Integer and boolean tensors are left alone.

    A quantized tensor's name goes to the DequantizeLinear; the operator's result gets `_float`
    behind its name.
    """

    name: ClassVar[str] = "quantize"

    def __init__(
        self,
        ranges: Mapping[str, tuple[float, float]],
        diagnostics: Diagnostics,
        keep_float: AbstractSet[str] = frozenset(),
        widths: Widths = _INT8,
    ) -> None:
        self.ranges = ranges
        self.diagnostics = diagnostics
        self.keep_float = keep_float
        self.widths = widths

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Quantizes `model`, or leaves it as it is when a range is missing."""
        plan = plan_quantization(model, self.keep_float, self.widths)
        parameters = self._parameters(plan)
        if parameters is None:
            return ir.passes.PassResult(model, modified=False)
        graph = model.graph
        for value, chosen in parameters.items():
            _bound_mask(graph, value, chosen)
        weights = quantize_weights_of(graph, plan.kept)
        inserter = _Inserter(graph, plan)
        for point in plan.points.values():
            inserter.insert(point, parameters[point.value])
        return ir.passes.PassResult(model, bool(plan.points) or weights)

    def _parameters(self, plan: Plan) -> dict[ir.Value, AffineParameters] | None:
        """Every point's parameters, None after reporting a range that cannot be used."""
        found: dict[ir.Value, AffineParameters] = {}
        complete = True
        for value, point in plan.points.items():
            match point.source:
                case Fixed(scale, zero_point):
                    found[value] = (
                        _UNIT if point.bits == 16 else AffineParameters(scale, zero_point))
                case Shares():
                    found[value] = _UNIT if point.bits == 16 else self._share(value)
                case SameAs(origin):
                    if origin in found:
                        found[value] = found[origin]
                case Table(table):
                    array = constant(table)
                    assert array is not None
                    found[value] = self._from_range(
                        point, (float(array.min(initial=0)), float(array.max(initial=0)))
                    ) or _ARBITRARY[point.bits]
                case Observed():
                    chosen = self._from_range(point, self.ranges.get(_observed(point).name or ""))
                    if chosen is None:
                        complete = False
                    else:
                        found[value] = chosen
        return found if complete else None

    def _share(self, value: ir.Value) -> AffineParameters:
        _, high = self.ranges.get(value.name or "", (0.0, 1.0))
        return AffineParameters(min(1.0, _HEADROOM * high) / 256, -128)

    def _from_range(
        self, point: Point, observed: tuple[float, float] | None
    ) -> AffineParameters | None:
        name, producer = point.value.name, point.value.producer()
        node = (producer.name or "") if producer else ""
        op_type = producer.op_type if producer else ""
        if observed is None:
            self.diagnostics.error(
                "TC0301", f"calibration gave no range for tensor {name!r}",
                node=node, op_type=op_type,
            )
            return None
        low, high = observed
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            self.diagnostics.error(
                "TC0301", f"the range of tensor {name!r} is [{low}, {high}]",
                node=node, op_type=op_type, help="look for a value in the data that is not finite",
            )
            return None
        try:
            if point.bits == 16:
                return affine_parameters(
                    _HEADROOM * low, _HEADROOM * high, bits=16, symmetric=True)
            return affine_parameters(low, high)
        except ValueError:
            self.diagnostics.warning(
                "TC0202", f"tensor {name!r} is 0 in every calibration sample",
                node=node, op_type=op_type,
                notes=(f"range: [{low}, {high}]; other values saturate at about 1",),
                help="give calibration data that is like the data in use",
            )
            return _ARBITRARY[point.bits]


def _bound_mask(graph: ir.Graph, value: ir.Value, parameters: AffineParameters) -> None:
    """Where `value` is a sum with constants that are far below its range, makes them less so.

    Masks are minus infinity or -1e9, which requantization's constants cannot hold; the sum
    saturates in either case.
    """
    add = value.producer()
    if add is None or add.op_type != "Add":
        return
    span = 2.0 ** parameters.bits * parameters.scale
    for index, term in enumerate(add.inputs):
        array = constant(term)
        if array is not None and array.dtype == np.float32 and array.min(initial=0) < -2 * span:
            assert term is not None
            bounded = initializer(
                graph, f"{term.name}_bounded", np.maximum(array, np.float32(-2 * span)))
            add.replace_input_with(index, bounded)
            drop_unused(graph, term)


class _Inserter:
    """Puts Q and DQ behind tensors; tensors with the same parameters share their constants."""

    def __init__(self, graph: ir.Graph, plan: Plan) -> None:
        self.graph = graph
        self.plan = plan
        self.constants: dict[AffineParameters, tuple[ir.Value, ir.Value]] = {}
        self.first = next(iter(graph), None)

    def insert(self, point: Point, parameters: AffineParameters) -> None:
        """Quantizes one tensor."""
        value, producer = point.value, point.value.producer()
        name = value.name or "tensor"
        if isinstance(point.source, Table) and producer is not None:
            self._quantize_table(producer, point.source.table, parameters)
        readers = [
            use for use in value.uses()
            if use.node.op_type not in ("QuantizeLinear", "DynamicQuantizeLinear")
            and not (point.stays_float and use.node in self.plan.kept)
        ]
        exposed = value.is_graph_output() and not point.stays_float and producer is not None
        if not readers and not exposed:
            return
        constants = self._constants(name, parameters)
        if producer is not None and not point.stays_float:
            value.name = fresh_name(self.graph, f"{name}_float")
        codes = self._node("QuantizeLinear", f"{name}_quantized", [value, *constants], value,
                           _TYPES[parameters.bits])
        real = self._node(
            "DequantizeLinear", fresh_name(self.graph, name if value.name != name
                                           else f"{name}_dequantized"),
            [codes, *constants], value, ir.DataType.FLOAT,
        )
        new = [codes.producer(), real.producer()]
        nodes = [node for node in new if node is not None]
        if producer is not None:
            self.graph.insert_after(producer, nodes)
        else:
            assert self.first is not None
            self.graph.insert_before(self.first, nodes)
        for use in readers:
            use.node.replace_input_with(use.idx, real)
        if exposed:
            for index, output in enumerate(self.graph.outputs):
                if output is value:
                    self.graph.outputs[index] = real

    def _node(
        self, op_type: str, name: str, inputs: list[ir.Value], like: ir.Value, dtype: ir.DataType
    ) -> ir.Value:
        name = name if op_type == "DequantizeLinear" else fresh_name(self.graph, name)
        output = ir.Value(name=name, shape=like.shape, type=ir.TensorType(dtype))
        ir.node(op_type, inputs, outputs=[output], name=f"{name}_{op_type}")
        return output

    def _constants(self, name: str, parameters: AffineParameters) -> tuple[ir.Value, ir.Value]:
        if parameters not in self.constants:
            self.constants[parameters] = (
                initializer(self.graph, f"{name}_scale", np.float32(parameters.scale)),
                initializer(self.graph, f"{name}_zero_point",
                            parameters.dtype.type(parameters.zero_point)),
            )
        return self.constants[parameters]

    def _quantize_table(
        self, gather: ir.Node, table: ir.Value, parameters: AffineParameters
    ) -> None:
        array = constant(table)
        assert array is not None
        name = table.name or "table"
        codes = initializer(
            self.graph, f"{name}_int{parameters.bits}", quantize(array, parameters))
        constants = self._constants(name, parameters)
        real = self._node("DequantizeLinear", fresh_name(self.graph, f"{name}_dequantized"),
                          [codes, *constants], table, ir.DataType.FLOAT)
        node = real.producer()
        assert node is not None
        self.graph.insert_before(gather, node)
        gather.replace_input_with(0, real)
        drop_unused(self.graph, table)

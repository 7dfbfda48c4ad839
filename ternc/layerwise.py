"""A quantized model, layer by layer: each compiled alone and fed what onnxruntime computed.

Compared alone, layers do not pass their rounding on to each other, so every integer must be
onnxruntime's within 1 (of a recurrent layer with int16 results, which feed back into it: 16), and,
but for recurrent layers, the nearest to what onnxruntime had before it rounded. Chained, the same
compiled layers must give what the whole program gives, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.comparison import Comparison
from ternc.compiled import CompiledModel
from ternc.layer_split import fed_name, split_layers
from ternc.oracle import Oracle

Array = npt.NDArray[np.generic]

ROUNDING_LIMIT: Final = 0.6  # half a step, and what the fixed-point multiplier loses
RECURRENT_LIMIT: Final = 16.0  # steps of int16: a 2048th of the largest number
_CUTS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})  # their 16-bit states are within 1, no nearer
_FLOATS = frozenset({
    onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16,
})


@dataclass(frozen=True, slots=True)
class LayerResult:
    """How far one output of a layer was from onnxruntime over all samples.

    `worst` counts integer steps for integer outputs, and is relative to the largest value for
    float outputs; `absolute` is in real units; `wrong` of `count` elements differed at all
    (integers), or by more than 1e-5. `rounding` is the largest distance, in steps, of an integer
    inside its range from what was rounded; None for floats and for recurrent layers.
    """

    name: str
    tensor: str
    op_types: tuple[str, ...]
    worst: float
    absolute: float
    wrong: int
    count: int
    integer: bool
    sqnr_db: float
    cosine: float
    rounding: float | None
    limit: float = 1.0  # of `worst`, for integers

    @property
    def passed(self) -> bool:
        """Whether integers agree within the limit, floats within 1e-5."""
        return self.worst <= (self.limit if self.integer else 1e-5)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; JSON has no infinity."""
        signal = self.sqnr_db if math.isfinite(self.sqnr_db) else None
        return {
            "name": self.name, "tensor": self.tensor, "ops": list(self.op_types),
            "worst": self.worst, "absolute": self.absolute, "wrong": self.wrong,
            "count": self.count, "integer": self.integer, "sqnr_db": signal,
            "cosine": self.cosine, "rounding": self.rounding,
        }


@dataclass(slots=True)
class _Output:
    """One output of a layer, with the sums over the samples."""

    tensor: str
    is_integer: bool
    comparison: Comparison
    limit: float = 1.0
    unrounded: str = ""  # what its QuantizeLinear reads, "" where rounding says nothing
    rounding: float = 0.0

    def add(self, found: Array, values: Mapping[str, Array]) -> None:
        wanted = values[self.tensor]
        self.comparison.add(found.reshape(wanted.shape), wanted)
        if self.unrounded:
            limits = np.iinfo(wanted.dtype.name)
            real = values[self.unrounded].astype(np.float64) / self.comparison.scale
            real = real.reshape(wanted.shape) + self.comparison.zero_point
            inside = (real > limits.min) & (real < limits.max)
            far = np.abs(found.reshape(wanted.shape).astype(np.float64) - real)[inside]
            self.rounding = max(self.rounding, float(far.max(initial=0.0)))


@dataclass(slots=True)
class Layer:
    """One layer: its model, and that compiled alone."""

    model: onnx.ModelProto
    compiled: CompiledModel
    outputs: list[_Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        producers = {name: node for node in self.model.graph.node for name in node.output}
        recurrent = any(op in _RECURRENT for op in self.op_types)
        for value in self.model.graph.output:
            integer = value.type.tensor_type.elem_type not in _FLOATS
            node = producers.get(value.name)
            known = _quantization(node, constants) if node is not None else None
            scale, zero = known or (1.0, 0)
            output = _Output(value.name, integer, Comparison(scale, zero))
            if recurrent and not _is_byte(value):
                output.limit = RECURRENT_LIMIT
            if node is not None and known is not None and not recurrent and _is_byte(value):
                output.unrounded = fed_name(node.input[0])
            self.outputs.append(output)

    @property
    def op_types(self) -> tuple[str, ...]:
        """Its operators without those at its borders."""
        return tuple(n.op_type for n in self.model.graph.node if n.op_type not in _CUTS)

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Its outputs by their names in the whole model."""
        feed = {v.name: values[fed_name(v.name)] for v in self.model.graph.input}
        return self.compiled.run(feed)

    def results(self) -> list[LayerResult]:
        """What was found of each output."""
        return [
            LayerResult(
                self.model.graph.name, item.tensor, self.op_types, item.comparison.worst,
                item.comparison.absolute, item.comparison.wrong, item.comparison.count,
                item.is_integer, item.comparison.sqnr_db, item.comparison.cosine,
                item.rounding if item.unrounded else None, item.limit)
            for item in self.outputs if item.comparison.count
        ]


def _quantization(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]
) -> tuple[float, int] | None:
    """(scale, zero point) of a QuantizeLinear or DequantizeLinear per tensor."""
    if node.op_type not in _CUTS or node.input[1] not in constants:
        return None
    scale = onnx.numpy_helper.to_array(constants[node.input[1]])
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if scale.size != 1 or (len(node.input) > 2 and node.input[2] and zero is None):
        return None
    offset = 0 if zero is None else int(onnx.numpy_helper.to_array(zero).reshape(-1)[0])
    return float(scale.reshape(-1)[0]), offset


def _is_byte(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


class Layers:
    """The layers of a Q/DQ model, each compiled alone, in an order in which they can run.

    Raises:
        CompileError: a layer cannot be compiled alone.
    """

    def __init__(self, model: ir.Model | onnx.ModelProto) -> None:
        from ternc.compiler import compile

        self._model = model if isinstance(model, onnx.ModelProto) else ir.to_proto(model)
        made = [Layer(part, compile(part, "host", check_fit=False))
                for part in split_layers(model)]
        self.layers = _ordered(made, {value.name for value in self._model.graph.input})

    def check(
        self, feeds: Iterable[Mapping[str, Array]],
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[LayerResult]:
        """Compares each layer, fed what onnxruntime computed, with onnxruntime.

        Raises:
            OracleError: onnxruntime cannot run the model.
        """
        wanted = dict.fromkeys(
            name for layer in self.layers
            for name in (*(fed_name(value.name) for value in layer.model.graph.input),
                         *(value.name for value in layer.model.graph.output),
                         *(output.unrounded for output in layer.outputs if output.unrounded)))
        oracle = Oracle(self._model)
        for done, feed in enumerate(feeds, 1):
            values = oracle.run(feed, wanted)
            for layer in self.layers:
                answers = layer.run(values)
                for output in layer.outputs:
                    if output.tensor in answers:
                        output.add(answers[output.tensor], values)
            progress(done)
        return [result for layer in self.layers for result in layer.results()]

    def chained(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Every tensor between layers, each layer fed what the layers before it gave.

        Outputs of the model that dequantize one of them are there too.
        """
        values: dict[str, Array] = dict(feed)
        for layer in self.layers:
            values.update(layer.run(values))
        constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        for node in self._model.graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] in values:
                known = _quantization(node, constants)
                if known is not None:
                    codes = values[node.input[0]].astype(np.int32) - known[1]
                    values[node.output[0]] = codes.astype(np.float32) * np.float32(known[0])
        return values


def _ordered(layers: list[Layer], known: set[str]) -> list[Layer]:
    """Each layer after those that feed it."""
    waiting, ordered = list(layers), []
    while waiting:
        ready = [layer for layer in waiting
                 if all(fed_name(value.name) in known for value in layer.model.graph.input)]
        assert ready, [layer.model.graph.name for layer in waiting]
        for layer in ready:
            known |= {value.name for value in layer.model.graph.output}
        ordered += ready
        waiting = [layer for layer in waiting if not any(layer is other for other in ready)]
    return ordered


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
    return Layers(model).check(feeds)

"""Normalization of the input folded into what reads it: no run-time cost."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.passes._affine import Affine, affine_after
from ternc.passes._bias import add_to_bias
from ternc.passes._graph import (
    Array,
    constant,
    dequantized_constant,
    graph_of,
    initializer,
    input_at,
    only_consumer,
    remove_dead,
    scalar,
    static_shape,
)
from ternc.passes._linear import Slot, weight_slots
from ternc.passes._rescale import can_rescale, rescale

_VIEWS: Final = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_NEAR: Final = 1e-4  # of a quantization step: a zero point this near to an integer is one


class FoldInput(ir.passes.InPlacePass):
    """Layer(a·x + b) → Layer'(x), and QuantizeLinear(a·x + b; s, z) → QuantizeLinear(x; s/a, z').

    x is a graph input; a and b are constants, one or one per channel (axis 1 of images, the last
    axis otherwise), from any run of Mul, Div, Add, Sub and BatchNormalization.

    * Conv, ConvTranspose, Gemm, MatMul: W' = W·a for each input channel, bias' = bias + Σ W·b.
      With b ≠ 0 a convolution must not pad, since it pads with zeros behind the affine. Codes
      stay as they are: a quantized or ternary W takes only one a for all channels, in its scale.
    * QuantizeLinear: z' = z + b/s, which must be an integer; a must be positive.

    Must not apply where another node, or the outside, reads a tensor in between.
    """

    name: ClassVar[str] = "fold_input"

    def __init__(self, folded: dict[str, str]) -> None:
        self.folded = folded

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every float input."""
        modified = False
        for value in model.graph.inputs:
            shape = static_shape(value)
            if value.dtype is ir.DataType.FLOAT and shape is not None and len(shape) >= 2:
                modified |= self._fold(value, shape)
        return ir.passes.PassResult(model, modified)

    def _fold(self, value: ir.Value, shape: tuple[int, ...]) -> bool:
        axis = 1 if len(shape) > 2 else len(shape) - 1
        affine = affine_after(value, axis, shape[axis])
        if not affine.nodes:
            return False
        one = bool(np.all(affine.a == affine.a[0]) and np.all(affine.b == affine.b[0]))
        if affine.moved and not one:
            return False
        last = affine.nodes[-1].outputs[0]
        reader = only_consumer(last)
        while one and reader is not None and reader.op_type in _VIEWS \
                and reader.inputs[0] is last:
            last = reader.outputs[0]
            reader = only_consumer(last)
        if reader is None or reader.inputs[0] is not last or reader.domain:
            return False
        if reader.op_type == "QuantizeLinear":
            done = one and _into_quantization(reader, float(affine.a[0]), float(affine.b[0]))
        else:
            done = _into_layer(reader, affine, one=one)
        if done:
            for node in affine.nodes:
                self._bypass(node, reader)
        return done

    def _bypass(self, node: ir.Node, reader: ir.Node) -> None:
        data = next(v for v in node.inputs if v is not None and dequantized_constant(v) is None)
        if node.outputs[0].name:
            self.folded[node.outputs[0].name] = reader.name or reader.op_type
        ir.convenience.replace_all_uses_with(node.outputs[0], data)
        remove_dead(graph_of(node), node)


def _into_quantization(node: ir.Node, a: float, b: float) -> bool:
    scale, zero = scalar(node.inputs[1]), constant(input_at(node, 2))
    if scale is None or zero is None or zero.size != 1 or zero.dtype not in (np.int8, np.uint8) \
            or not a > 0.0 or not scale > 0.0:
        return False
    exact = int(zero.reshape(())) + b / scale
    limits = np.iinfo(zero.dtype)
    step = np.float32(scale / a)
    if abs(exact - round(exact)) > _NEAR or not limits.min <= round(exact) <= limits.max \
            or not np.finfo(np.float32).tiny <= step < np.inf:
        return False
    graph, stem = graph_of(node), node.name or "quantize"
    node.replace_input_with(1, initializer(graph, f"{stem}_scale", step))
    node.replace_input_with(
        2, initializer(graph, f"{stem}_zero_point", np.array(round(exact), zero.dtype)))
    return True


def _into_layer(node: ir.Node, affine: Affine, *, one: bool) -> bool:
    slots = weight_slots(node)
    if len(slots) != 1 or node.op_type in ("LSTM", "GRU", "RNN"):
        return False
    slot = slots[0]
    weights = dequantized_constant(slot.weight)
    if weights is None or weights.dtype != np.float32 or weights.ndim < 2 \
            or bool(node.attributes.get_int("transA", 0)):
        return False
    shifts = bool(np.any(affine.b != 0.0))
    images = node.op_type in ("Conv", "ConvTranspose")
    if shifts and (_pads(node) or node.op_type == "ConvTranspose"):
        return False
    if not images and weights.ndim != 2:
        return False
    a, b = _per_weight(slot, weights, affine.a, one), _per_weight(slot, weights, affine.b, one)
    if a is None or b is None:
        return False
    if not np.all(np.isfinite(weights * a)):
        return False
    others = tuple(axis for axis in range(weights.ndim) if axis != slot.axis)
    offset = (weights.astype(np.float64) * b).sum(axis=others)
    if constant(slot.weight) is None:
        factor = np.full(weights.shape[slot.axis], affine.a[0])
        if not one or not affine.a[0] > 0.0 or not can_rescale(slot, factor):
            return False
        rescale(slot, factor.astype(np.float32))
    else:
        new = initializer(graph_of(node), f"{slot.weight.name}_normalized",
                          (weights * a).astype(np.float32))
        old = slot.weight
        node.replace_input_with(slot.index, new)
        if not old.uses() and not old.is_graph_output():
            graph_of(node).initializers.pop(old.name or "", None)
    if shifts:
        if node.op_type == "Gemm":
            offset = offset * node.attributes.get_float("alpha", 1.0)
        add_to_bias(node, offset)
    return True


def _pads(node: ir.Node) -> bool:
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID", ""):
        return True
    pads = node.attributes.get("pads")
    return pads is not None and any(pads.as_ints())


def _per_weight(slot: Slot, weights: Array, values: Array, one: bool) -> Array | None:
    """`values` of each input channel in a shape that multiplies the weights."""
    if one:
        return np.asarray(values[0])
    node, rank = slot.node, weights.ndim
    if node.op_type == "Conv":
        groups = node.attributes.get_int("group", 1)
        if groups == 1:
            return values.reshape(1, -1, *(1,) * (rank - 2))
        rows = np.repeat(values.reshape(groups, -1), weights.shape[0] // groups, axis=0)
        return rows.reshape(*rows.shape, *(1,) * (rank - 2))
    if node.op_type == "ConvTranspose":
        return values.reshape(-1, *(1,) * (rank - 1))
    return values.reshape([-1 if axis != slot.axis else 1 for axis in range(rank)])

"""Dynamic int8: activations quantized by their absmax at run time, for want of calibration."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.passes._dynamic import match_result
from ternc.passes._graph import Builder, constant, dequantized_constant, static_shape
from ternc.passes._int8_weights import quantize_weights_of
from ternc.passes._quantization_plan import LINEAR

EPSILON: Final = 1e-5  # BitNet's: a row of zeros keeps a finite scale


class QuantizeDynamic(ir.passes.InPlacePass):
    """y = op(x, W) → op(clip(round(x·s), -128, 127) / s, DQ(W)), s = (1 / max(max|x|, 1e-5))·127.

    op is Conv, ConvTranspose, Gemm (without transA) or MatMul with a constant weight. The maximum
    is over the last axis of x for Gemm and MatMul, over the sample for convolutions: BitNet
    b1.58's activation quantization. Float weights become int8 for each output channel; ternary and
    quantized ones stay. An x shared by several layers is quantized once.

    Must not apply to nodes named in `keep`, nor where x is quantized like that already.
    """

    name: ClassVar[str] = "quantize_dynamic"

    def __init__(self, keep: AbstractSet[str] = frozenset()) -> None:
        self.keep = keep

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inserts the pattern in front of every linear operator."""
        kept = {node for node in model.graph if (node.name or "") in self.keep}
        quantize_weights_of(model.graph, kept)
        made: dict[tuple[ir.Value, bool], ir.Value] = {}
        for node in list(model.graph):
            if node in kept or node.domain not in ("", "ai.onnx") or node.op_type not in LINEAR:
                continue
            x, weight = node.inputs[0], node.inputs[1]
            if x is None or constant(x) is not None or dequantized_constant(weight) is None \
                    or bool(node.attributes.get_int("transA", 0)) or match_result(x) is not None:
                continue
            per_sample = node.op_type.startswith("Conv")
            if (x, per_sample) not in made:
                made[x, per_sample] = _quantized(node, x, per_sample)
            node.replace_input_with(0, made[x, per_sample])
        return ir.passes.PassResult(model, bool(made))


def _quantized(node: ir.Node, x: ir.Value, per_sample: bool) -> ir.Value:
    build, shape = Builder(node), static_shape(x)
    assert shape is not None
    build.stem = f"{x.name}_dynamic"
    axes = list(range(1, len(shape))) if per_sample else [len(shape) - 1]
    row = [1 if axis in axes else extent for axis, extent in enumerate(shape)]
    absolute = build.node("Abs", [x])
    largest = build.node(
        "ReduceMax", [absolute, build.constant("axes", np.array(axes, np.int64))],
        {"keepdims": 1}, shape=row)
    floor = build.node("Clip", [largest, build.constant("epsilon", np.float32(EPSILON))])
    inverse = build.node("Reciprocal", [floor])
    scale = build.node("Mul", [inverse, build.constant("levels", np.float32(127))],
                       name=f"{build.stem}_scale")
    scaled = build.node("Mul", [x, scale])
    rounded = build.node("Round", [scaled])
    codes = build.node("Clip", [rounded, build.constant("low", np.float32(-128)),
                                build.constant("high", np.float32(127))],
                       name=f"{build.stem}_codes")
    return build.node("Div", [codes, scale], name=f"{build.stem}_quantized")

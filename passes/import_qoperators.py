"""onnxruntime's quantized operators (QOperator format, dynamic quantization) in standard ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import Builder, constant, input_at, replace_value

_MICROSOFT: Final = "com.microsoft"


@dataclass(frozen=True, slots=True)
class _Form:
    """Where a quantized operator has its inputs; a tensor's are codes, scale, zero point."""

    op_type: str
    tensors: tuple[int, ...]  # position of each tensor's codes
    result: int  # position of the result's scale, with the zero point behind it
    plain: tuple[int, ...] = ()  # float or boolean inputs, in front of the others
    bias: int | None = None  # int32, whose scale is the product of the tensors'


_FORMS: Final = {
    ("", "QLinearConv"): _Form("Conv", (0, 3), 6, bias=8),
    ("", "QLinearMatMul"): _Form("MatMul", (0, 3), 6),
    (_MICROSOFT, "QGemm"): _Form("Gemm", (0, 3), 7, bias=6),
    (_MICROSOFT, "QLinearAdd"): _Form("Add", (0, 3), 6),
    (_MICROSOFT, "QLinearMul"): _Form("Mul", (0, 3), 6),
    (_MICROSOFT, "QLinearWhere"): _Form("Where", (1, 4), 7, plain=(0,)),
    **{(_MICROSOFT, f"QLinear{name}"): _Form(name, (0,), 3) for name in (
        "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax")},
}
REWRITTEN: Final = (
    *(f"{domain}::{name}" if domain else name for domain, name in _FORMS),
    f"{_MICROSOFT}::QLinearConcat")
"""Names as `ternc ops` shows them."""

_OURS: Final = ("channels_last", "opset")  # attributes that the standard operator has not


class ImportQOperators(ir.passes.InPlacePass):
    """QLinearOp(a, sa, za, ..., sy, zy) → Q(Op(DQ(a, sa, za), ...), sy, zy), a bias as DQ(int32).

    Applies to QLinearConv, QLinearMatMul, and of com.microsoft QGemm, QLinearConcat and what
    `_FORMS` lists.

    MatMulInteger and ConvInteger behind a DynamicQuantizeLinear become MatMul and Conv of floats
    with the int8 weights: what was lost by rounding the activations is not, and TC0005 says so.

    Refused: channels_last (TC0102).
    """

    name: ClassVar[str] = "import_qoperators"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replaces every such node."""
        modified = False
        for node in list(model.graph):
            key = (node.domain, node.op_type)
            if node.attributes.get_int("channels_last", 0) and key in _FORMS:
                self.diagnostics.error(
                    "TC0102", f"{node.op_type} with channels_last", node=node.name or "",
                    op_type=node.op_type, help="quantize the model in its NCHW form")
                continue
            new = None
            if key in _FORMS:
                new = _written_out(node, _FORMS[key])
            elif key == (_MICROSOFT, "QLinearConcat"):
                new = _concat(node)
            elif key == ("", "DynamicQuantizeLinear"):
                modified |= self._undo(node)
            if new is not None:
                replace_value(node.outputs[0], new)
                model.graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)

    def _undo(self, node: ir.Node) -> bool:
        """Dynamic quantization whose codes are read by integer products alone goes."""
        codes, scale, zero = node.outputs
        readers = [use.node for use in codes.uses()]
        if not readers or not all(_is_product(reader, codes, zero) for reader in readers):
            return False
        for reader in readers:
            _as_floats(reader, node.inputs[0])
        one = Builder(node).constant("one", np.float32(1))
        ir.convenience.replace_all_uses_with(scale, one)
        self.diagnostics.warning(
            "TC0005", "activations that were quantized at run time stay float: their weights are "
            "int8 as before, and nothing is lost", node=node.name or "", op_type=node.op_type,
            help="calibrate (--calibration) to have integer activations")
        if not any(list(value.uses()) for value in node.outputs):
            node.graph.remove(node, safe=True)  # type: ignore[union-attr]
        return True


def _written_out(node: ir.Node, form: _Form) -> ir.Value:
    build = Builder(node)
    inputs = [node.inputs[place] for place in form.plain]
    inputs += [_real(build, node, place) for place in form.tensors]
    bias = input_at(node, form.bias) if form.bias is not None else None
    if bias is not None:
        first, second = (_array(node, place + 1) for place in form.tensors)
        scale = first * second * np.float32(node.attributes.get_float("alpha", 1.0))
        inputs.append(build.node(
            "DequantizeLinear", [bias, build.constant("bias_scale", scale)],
            {"axis": 0} if scale.size > 1 else {}, dtype=ir.DataType.FLOAT))
    attributes = {name: attribute for name, attribute in node.attributes.items()
                  if name not in _OURS}
    result = build.node(form.op_type, inputs, dtype=ir.DataType.FLOAT, shape=node.outputs[0].shape)
    producer = result.producer()
    assert producer is not None
    for attribute in attributes.values():
        producer.attributes.add(attribute)
    return _codes(build, node, result, form.result)


def _concat(node: ir.Node) -> ir.Value:
    build = Builder(node)
    parts = [_real(build, node, place) for place in range(2, len(node.inputs), 3)]
    result = build.node(
        "Concat", parts, {"axis": node.attributes.get_int("axis", 0)}, dtype=ir.DataType.FLOAT,
        shape=node.outputs[0].shape)
    return _codes(build, node, result, 0)


def _real(build: Builder, node: ir.Node, place: int) -> ir.Value:
    """DequantizeLinear of the tensor whose codes are at `place`."""
    codes, scale, zero = node.inputs[place], node.inputs[place + 1], input_at(node, place + 2)
    array = constant(scale)
    # of weights: Conv's and a transposed Gemm's have their output channels first
    first = node.op_type == "QLinearConv" or node.attributes.get_int("transB", 0) == 1
    axis = {"axis": 0 if first else -1} if array is not None and array.size > 1 else {}
    return build.node(
        "DequantizeLinear", [codes, scale, *([zero] if zero is not None else [])], axis,
        dtype=ir.DataType.FLOAT)


def _codes(build: Builder, node: ir.Node, real: ir.Value, place: int) -> ir.Value:
    """QuantizeLinear with the scale at `place`; the floats where there is none (QGemm)."""
    scale, zero = input_at(node, place), input_at(node, place + 1)
    if scale is None:
        return real
    return build.node(
        "QuantizeLinear", [real, scale, *([zero] if zero is not None else [])],
        dtype=node.outputs[0].dtype or ir.DataType.UINT8)


def _array(node: ir.Node, place: int) -> np.ndarray:
    array = constant(node.inputs[place])
    assert array is not None, node.name
    return array.astype(np.float32).reshape(-1) if array.ndim else array.astype(np.float32)


def _is_product(node: ir.Node, codes: ir.Value, zero: ir.Value) -> bool:
    """MatMulInteger or ConvInteger of `codes` and constant weights, whose result is cast."""
    return (
        node.domain == "" and node.op_type in ("MatMulInteger", "ConvInteger")
        and node.inputs[0] is codes and input_at(node, 2) is zero
        and constant(node.inputs[1]) is not None
        and all(use.node.op_type == "Cast" for use in node.outputs[0].uses()))


def _as_floats(node: ir.Node, x: ir.Value | None) -> None:
    build, weights, zero = Builder(node), node.inputs[1], input_at(node, 3)
    zeros = constant(zero)
    ones = np.ones(() if zeros is None else zeros.shape, np.float32)
    axis = {"axis": 0 if node.op_type == "ConvInteger" else -1} if ones.size > 1 else {}
    real = build.node(
        "DequantizeLinear",
        [weights, build.constant("unit", ones), *([zero] if zero is not None else [])], axis,
        dtype=ir.DataType.FLOAT)
    product = build.node(
        "MatMul" if node.op_type == "MatMulInteger" else "Conv", [x, real],
        dtype=ir.DataType.FLOAT, shape=node.outputs[0].shape)
    producer = product.producer()
    assert producer is not None
    for attribute in node.attributes.values():
        producer.attributes.add(attribute)
    replace_value(node.outputs[0], product)
    build.graph.remove(node, safe=True)

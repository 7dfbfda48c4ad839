"""QONNX's Quant and BipolarQuant in standard ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._fake_quant import Grid, constant_codes, quantize_dequantize
from ternc.passes._graph import Array, Builder, constant, replace_value

DOMAINS: Final = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
_LAYOUT = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
_WEIGHT_SLOTS: Final[dict[str, tuple[int, ...]]] = {
    "Conv": (1,), "ConvTranspose": (1,), "Gemm": (0, 1), "MatMul": (0, 1), "Gather": (0,),
    "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2),
}


@dataclass(frozen=True, slots=True)
class _Quant:
    """The constant parameters of a Quant node, as float32 arrays."""

    scale: Array
    zero: Array
    low: float
    high: float
    rounding: str
    bipolar: bool


class ImportQonnx(ir.passes.InPlacePass):
    """Quant(x, s, z, bits) = (clip(round(x/s + z), low, high) - z)·s → Q, Clip, DQ.

    Activations with one scale become QuantizeLinear → Clip(low, high) → DequantizeLinear in the
    narrowest integer type; weights become integer initializer → DequantizeLinear, per tensor or
    along one axis; other constants (biases) become float constants. BipolarQuant becomes codes
    -1/+1 for weights and Where(x ≥ 0, s, -s), quantized, for activations.

    Stays in explicit float operators: rounding modes other than ROUND, more than 16 bits, a
    scale per channel of an activation, scales computed at run time. QuantizeLinear adds the zero
    point after rounding, Quant before: exact ties differ by one step when the zero point is odd.

    Refused: Trunc (TC0101), a bit width or zero point computed at run time (TC0102).
    """

    name: ClassVar[str] = "import_qonnx"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replaces every node of the QONNX domains."""
        modified = False
        for node in list(model.graph):
            if node.domain in DOMAINS:
                modified |= self._import(node)
        if modified and not any(node.domain in DOMAINS for node in model.graph.all_nodes()):
            for domain in DOMAINS:
                model.graph.opset_imports.pop(domain, None)
        return ir.passes.PassResult(model, modified)

    def _import(self, node: ir.Node) -> bool:
        if node.op_type not in ("Quant", "BipolarQuant"):
            self.diagnostics.error(
                "TC0101", f"QONNX operator {node.op_type} is not supported",
                node=node.name or "", op_type=node.op_type,
                help="use Quant nodes with a static scale instead")
            return False
        x, scale, rest = node.inputs[0], node.inputs[1], node.inputs[2:]
        bipolar = node.op_type == "BipolarQuant"
        parameters = [constant(value) for value in rest]
        if x is None or scale is None or any(p is None for p in parameters):
            self.diagnostics.error(
                "TC0102", "the zero point or bit width of a Quant node is computed at run time",
                node=node.name or "", op_type=node.op_type,
                help="export the model with a fixed bit width")
            return False
        build, weights, array = Builder(node), constant(x), constant(scale)
        quant = _parameters(node, array, [p for p in parameters if p is not None])
        if quant is None:
            self.diagnostics.error(
                "TC0102", "bit width or rounding mode of a Quant node is not supported",
                node=node.name or "", op_type=node.op_type)
            return False
        if weights is not None and array is not None:
            new = _constant(build, node, weights.astype(np.float32), quant)
        elif bipolar or quant.bipolar:
            new = _bipolar(build, x, scale, array, quant)
        else:
            new = _activation(build, x, scale, array, quant)
        replace_value(node.outputs[0], new)
        build.graph.remove(node, safe=True)
        return True


def _parameters(node: ir.Node, scale: Array | None, rest: list[Array]) -> _Quant | None:
    known = np.asarray(1.0 if scale is None else scale, np.float32)
    if node.op_type == "BipolarQuant":
        return _Quant(known, np.zeros((), np.float32), -1, 1, "ROUND", bipolar=True)
    zero, bits = rest[0].astype(np.float32), rest[1]
    rounding = node.attributes.get_string("rounding_mode", "ROUND").upper()
    rounding = {"HALF_EVEN": "ROUND", "ROUND_TO_ZERO": "DOWN"}.get(rounding, rounding)
    if bits.size != 1 or rounding not in _ROUNDING:
        return None
    signed, narrow = node.attributes.get_int("signed", 1), node.attributes.get_int("narrow", 1)
    width = float(bits.reshape(()))
    if signed:
        low, high = -(2.0 ** (width - 1)) + narrow, 2.0 ** (width - 1) - 1
    else:
        low, high = 0.0, 2.0**width - 1 - narrow
    return _Quant(known, zero, low, high, rounding, bipolar=bool(signed and width == 1))


def _constant(build: Builder, node: ir.Node, x: Array, quant: _Quant) -> ir.Value:
    scaled = x / quant.scale + quant.zero if node.op_type == "Quant" else x
    if quant.bipolar:
        codes = np.where(scaled >= 0, np.float32(1), np.float32(-1))
    else:
        codes = np.clip(_ROUNDING[quant.rounding](scaled), quant.low, quant.high)
    whole = bool(np.all(quant.zero == np.round(quant.zero))) and float(quant.low).is_integer()
    if whole and codes.shape == x.shape and _is_weight(node.outputs[0]):
        made = constant_codes(build, codes, quant.scale, quant.zero, quant.low, quant.high)
        if made is not None:
            return made
    return build.constant("folded", ((codes - quant.zero) * quant.scale).astype(np.float32))


def _is_weight(value: ir.Value) -> bool:
    for use in value.uses():
        if use.idx in _WEIGHT_SLOTS.get(use.node.op_type, ()):
            return True
        if use.node.op_type in _LAYOUT and use.idx == 0 and _is_weight(use.node.outputs[0]):
            return True
    return False


def _bipolar(
    build: Builder, x: ir.Value, scale: ir.Value, array: Array | None, quant: _Quant
) -> ir.Value:
    if quant.zero.any():  # only a 1-bit Quant has one: sign(x/s + z)·s - z·s
        shift = build.constant("zero", quant.zero)
        x = build.node("Add", [build.node("Div", [x, scale]), shift])
    positive = build.node("GreaterOrEqual", [x, build.constant("origin", np.float32(0))],
                          dtype=ir.DataType.BOOL)
    sign = build.node("Where", [positive, build.constant("plus", np.float32(1)),
                                build.constant("minus", np.float32(-1))],
                      dtype=ir.DataType.FLOAT)
    if quant.zero.any():
        return build.node("Mul", [build.node("Sub", [sign, shift]), scale])
    value = build.node("Mul", [sign, scale])
    if array is None or array.size != 1:
        return value
    grid = Grid(float(array.reshape(())), 0, -1, 1)
    return quantize_dequantize(build, value, grid) or value


def _activation(
    build: Builder, x: ir.Value, scale: ir.Value, array: Array | None, quant: _Quant
) -> ir.Value:
    edges = (quant.low, quant.high, *quant.zero.reshape(-1).tolist())
    if (array is not None and array.size == 1 and quant.zero.size == 1
            and quant.rounding == "ROUND" and all(float(edge).is_integer() for edge in edges)):
        grid = Grid(float(array.reshape(())), int(quant.zero.reshape(())),
                    int(quant.low), int(quant.high))
        made = quantize_dequantize(build, x, grid)
        if made is not None:
            return made
    value = build.node("Div", [x, scale], dtype=ir.DataType.FLOAT)
    zero = build.constant("zero", quant.zero) if quant.zero.any() else None
    if zero is not None:
        value = build.node("Add", [value, zero])
    value = _round(build, value, quant.rounding)
    value = build.node("Clip", [value, build.constant("low", np.float32(quant.low)),
                                build.constant("high", np.float32(quant.high))])
    if zero is not None:
        value = build.node("Sub", [value, zero])
    return build.node("Mul", [value, scale])


def _round(build: Builder, x: ir.Value, mode: str) -> ir.Value:
    simple = {"ROUND": "Round", "CEIL": "Ceil", "FLOOR": "Floor"}
    if mode in simple:
        return build.node(simple[mode], [x])
    size, half = build.node("Abs", [x]), np.float32(0.5)
    match mode:
        case "UP":
            size = build.node("Ceil", [size])
        case "DOWN":
            size = build.node("Floor", [size])
        case "HALF_UP":
            size = build.node("Floor", [build.node("Add", [size, build.constant("half", half)])])
        case _:
            size = build.node("Ceil", [build.node("Sub", [size, build.constant("half", half)])])
    return build.node("Mul", [build.node("Sign", [x]), size])


_ROUNDING: Final[dict[str, Callable[[Array], Array]]] = {
    "ROUND": np.round, "CEIL": np.ceil, "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}

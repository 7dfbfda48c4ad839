from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes.import_qonnx import DOMAINS, ImportQonnx
from tests.passes.running import Array, assert_same, ops, parse, run

RNG = np.random.default_rng(3)
_ROUND: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round, "CEIL": np.ceil, "FLOOR": np.floor, "DOWN": np.trunc,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}


def _quant(x: Array, scale: Array, zero: Array, bits: float, *, signed: int, narrow: int,
           mode: str = "ROUND") -> Array:
    """QONNX's definition of Quant."""
    value = x / scale + zero
    if bits == 1 and signed:
        value = np.where(value >= 0, 1.0, -1.0)
    else:
        low = -(2.0 ** (bits - 1)) + narrow if signed else 0.0
        high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - narrow
        value = np.clip(_ROUND[mode](value), low, high)
    return np.asarray((value - zero) * scale, np.float32)


def _model(body: str, inputs: str = "float[4,16] x", outputs: str = "float y",
           **constants: npt.ArrayLike) -> ir.Model:
    imports = ", ".join(f'"{domain}" : 1' for domain in DOMAINS)
    return parse(f'<ir_version: 10, opset_import: ["" : 21, {imports}]> '
                 f"agraph ({inputs}) => ({outputs}) {{ {body} }}", **constants)


def _f(value: object) -> Array:
    return np.asarray(value, np.float32)


def _import(model: ir.Model) -> ir.Model:
    diagnostics = Diagnostics()
    result = ImportQonnx(diagnostics)(model)
    assert not diagnostics.errors
    assert result.modified
    assert not {node.domain for node in result.model.graph} & set(DOMAINS)
    return result.model


@pytest.mark.parametrize(("bits", "signed", "narrow"), [
    *itertools.product((2, 3, 4, 8, 10, 16), (0, 1), (0, 1)), (1, 1, 1), (1, 0, 0), (20, 1, 0)])
def test_activations(bits: int, signed: int, narrow: int) -> None:
    scale = 2.0 ** (4 - bits)
    body = (f"y = qonnx.custom_op.general.Quant<signed={signed}, narrow={narrow}, "
            'rounding_mode="ROUND">(x, s, z, b)')
    model = _import(_model(body, s=_f(scale), z=_f(0), b=_f(bits)))
    x = (RNG.integers(-40, 40, (4, 16)) / 4 * scale).astype(np.float32)  # full of ties
    expected = _quant(x, _f(scale), _f(0), bits, signed=signed, narrow=narrow)
    assert_same({"y": expected}, run(model, {"x": x}), 0.0)
    assert ("QuantizeLinear" in ops(model)) == (bits <= 16)


def test_activations_with_a_zero_point() -> None:
    body = "y = onnx.brevitas.Quant<signed=0, narrow=0>(x, s, z, b)"
    model = _import(_model(body, s=_f(0.1), z=_f(6), b=_f(4)))
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    expected = _quant(x, _f(0.1), _f(6), 4, signed=0, narrow=0)
    assert_same({"y": expected}, run(model, {"x": x}), 1e-6)
    assert ops(model) == ["QuantizeLinear", "Clip", "DequantizeLinear"]


@pytest.mark.parametrize("mode", sorted(_ROUND))
def test_rounding_modes(mode: str) -> None:
    body = f'y = onnx.brevitas.Quant<signed=1, narrow=0, rounding_mode="{mode}">(x, s, z, b)'
    model = _import(_model(body, s=_f(0.5), z=_f(0), b=_f(4)))
    x = (RNG.integers(-40, 40, (4, 16)) / 8).astype(np.float32)
    expected = _quant(x, _f(0.5), _f(0), 4, signed=1, narrow=0, mode=mode)
    assert_same({"y": expected}, run(model, {"x": x}), 0.0)
    assert ("QuantizeLinear" in ops(model)) == (mode == "ROUND")


def test_one_scale_per_channel_of_an_activation_stays_in_float() -> None:
    scale = RNG.uniform(0.1, 1, (1, 16)).astype(np.float32)
    model = _import(_model("y = onnx.brevitas.Quant<signed=1, narrow=1>(x, s, z, b)",
                           s=scale, z=_f(0), b=_f(4)))
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    assert_same({"y": _quant(x, scale, _f(0), 4, signed=1, narrow=1)}, run(model, {"x": x}), 1e-6)
    assert "QuantizeLinear" not in ops(model)


@pytest.mark.parametrize(("shape", "axis"), [((), None), ((1,), None), ((8, 1), 0), ((1, 16), 1)])
@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_weights_become_integers(shape: tuple[int, ...], axis: int | None, bits: int) -> None:
    scale = RNG.uniform(0.1, 0.5, shape).astype(np.float32)
    weight = RNG.standard_normal((8, 16)).astype(np.float32)
    body = ("w = finn.custom_op.general.Quant<signed=1, narrow=1>(v, s, z, b) "
            "t = Transpose<perm=[1,0]>(w) y = MatMul(x, t)")
    model = _import(_model(body, v=weight, s=scale, z=np.int64(0), b=np.int64(bits)))
    assert ops(model) == ["DequantizeLinear", "Transpose", "MatMul"]
    node = model.graph[0]
    assert node.outputs[0].name == "w"
    assert node.attributes.get_int("axis", -1) == (-1 if axis is None else axis)
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    expected = x @ _quant(weight, scale, _f(0), bits, signed=1, narrow=1).T
    assert_same({"y": expected.astype(np.float32)}, run(model, {"x": x}))


def test_biases_become_float_constants() -> None:
    body = "c = onnx.brevitas.Quant<signed=1, narrow=0>(v, s, z, b) y = Add(x, c)"
    bias = RNG.standard_normal(16).astype(np.float32)
    model = _import(_model(body, v=bias, s=_f(0.25), z=_f(0), b=_f(6)))
    assert ops(model) == ["Add"]
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    expected = x + _quant(bias, _f(0.25), _f(0), 6, signed=1, narrow=0)
    assert_same({"y": expected}, run(model, {"x": x}))


def test_bipolar_weights_and_activations() -> None:
    weight = RNG.standard_normal((16, 8)).astype(np.float32)
    weight[0, 0] = 0.0
    body = ("q = qonnx.custom_op.general.BipolarQuant(x, s) "
            "w = qonnx.custom_op.general.BipolarQuant(v, s) y = MatMul(q, w)")
    model = _import(_model(body, v=weight, s=_f(0.3)))
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    x[0] = 0.0
    signs = [np.where(a >= 0, _f(0.3), _f(-0.3)) for a in (x, weight)]
    assert_same({"y": signs[0] @ signs[1]}, run(model, {"x": x}))
    assert ops(model).count("DequantizeLinear") == 2


def test_dynamic_scale_stays_in_float() -> None:
    model = _import(_model("y = onnx.brevitas.Quant<signed=1, narrow=1>(x, s, z, b)",
                           inputs="float[4,16] x, float s", z=_f(0), b=_f(4)))
    x = RNG.standard_normal((4, 16)).astype(np.float32)
    expected = _quant(x, _f(0.2), _f(0), 4, signed=1, narrow=1)
    assert_same({"y": expected}, run(model, {"x": x, "s": _f(0.2)}), 1e-6)


def test_trunc_is_refused() -> None:
    diagnostics = Diagnostics()
    model = _model("y = qonnx.custom_op.general.Trunc(x, s, z, b, b)",
                   s=_f(1), z=_f(0), b=_f(4))
    assert not ImportQonnx(diagnostics)(model).modified
    assert [(item.code, item.op_type) for item in diagnostics] == [("TC0101", "Trunc")]


def test_dynamic_bit_width_is_refused() -> None:
    diagnostics = Diagnostics()
    model = _model("y = onnx.brevitas.Quant(x, s, z, b)", inputs="float[4,16] x, float b",
                   s=_f(1), z=_f(0))
    assert not ImportQonnx(diagnostics)(model).modified
    assert [item.code for item in diagnostics] == ["TC0102"]


def test_standard_model_is_left_alone() -> None:
    assert not ImportQonnx(Diagnostics())(_model("y = Round(x)")).modified

"""Constants of ternary dense layers: short where exact enough, whatever the kernel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ternc
from ternc.backends.esp32.program import Tensor
from ternc.compiled import CompiledModel
from ternc.quantize import ShortConstants
from tests.benchmarks.layers import Layer, model_of

Array = npt.NDArray[np.generic]
SHORT, LONG = "dense_i8_t2_lut_short", "dense_i8_t2_lut"


def chain(widths: tuple[int, ...], spreads: tuple[float, ...]) -> onnx.ModelProto:
    """Ternary dense layers one after the other, channel scales apart by a factor of `spread`."""
    rng = np.random.default_rng(0)
    constants: dict[str, Array] = {"z": np.array(-3, np.int8), "s": np.array(0.05, np.float32)}
    nodes, value = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q0"])], "q0"
    for i, ((inputs, outputs), spread) in enumerate(zip(pairwise(widths), spreads, strict=True)):
        constants[f"w{i}"] = rng.choice(np.array([-1, 0, 0, 1], np.int8), (outputs, inputs))
        scale = np.geomspace(1.5, 1.5 * spread, outputs) / np.sqrt(inputs)
        constants[f"ws{i}"] = scale.astype(np.float32)
        constants[f"b{i}"] = rng.normal(0, 1, outputs).astype(np.float32)
        nodes += [
            helper.make_node("DequantizeLinear", [value, "s", "z"], [f"x{i}"]),
            helper.make_node("DequantizeLinear", [f"w{i}", f"ws{i}"], [f"wr{i}"], axis=0),
            helper.make_node("Gemm", [f"x{i}", f"wr{i}", f"b{i}"], [f"y{i}"], transB=1),
            helper.make_node("QuantizeLinear", [f"y{i}", "s", "z"], [f"q{i + 1}"]),
        ]
        value = f"q{i + 1}"
    graph = helper.make_graph(
        nodes, "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, widths[0]])],
        [helper.make_tensor_value_info(value, TensorProto.INT8, [1, widths[-1]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def kernels(compiled: CompiledModel) -> list[str]:
    return [item.opcode.name for item in compiled.program.instructions
            if item.opcode.name.startswith("dense")]


def test_an_ordinary_layer_takes_four_bytes_for_each_output() -> None:
    compiled = ternc.compile(model_of(Layer("", (1, 256), (128, 256), 0, 0)), "esp32c3")
    (item,) = [i for i in compiled.program.instructions if i.macs]
    assert item.opcode.name == SHORT
    k = item.operand("k")
    assert isinstance(k, Tensor)
    assert k.nbytes == 4 * 128


def test_a_large_layer_takes_them_with_five_weights_to_a_byte() -> None:
    compiled = ternc.compile(chain((1000, 1000), (1.0,)), "esp32c3")
    assert kernels(compiled) == ["dense_i8_t2_lut5_short"]


def test_constants_that_differ_too_much_stay_long() -> None:
    assert kernels(ternc.compile(chain((256, 128), (1.0,)), "esp32c3")) == [SHORT]
    assert kernels(ternc.compile(chain((256, 128), (4000.0,)), "esp32c3")) == [LONG]


def test_a_second_kernel_must_save_more_than_it_takes() -> None:
    few = ternc.compile(chain((256, 128, 128), (4000.0, 1.0)), "esp32c3")
    assert kernels(few) == [LONG, LONG]
    many = ternc.compile(chain((128, 128, 640), (4000.0, 1.0)), "esp32c3")
    assert kernels(many) == [LONG, SHORT]


@pytest.mark.parametrize("spread", [1.0, 20.0, 4000.0])
def test_every_kernel_gives_the_same_bytes(spread: float) -> None:
    """With no memory to spare it is the plain one, which knows long constants only."""
    model = chain((300, 128, 70), (spread, spread))
    x = np.random.default_rng(1).normal(0, 2, (1, 300)).astype(np.float32)
    ways = [ternc.compile(model, "esp32c3", optimize=o)
            for o in ("default", "size", "speed")]
    tight = ternc.compile(model, "esp32c3", ram=2 * 512)
    assert "dense_i8_t2" in kernels(tight)
    answers = [next(iter(way.run(x).values())) for way in (*ways, tight)]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def _failed(model: onnx.ModelProto) -> list[str]:
    x = np.random.default_rng(1).normal(0, 2, (16, 300)).astype(np.float32)
    report = ternc.validate(model, "esp32c3", data=x)
    return [check.name for check in report.checks if check.failed]


def test_validation_accepts_them_and_sees_a_rounding_that_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = chain((300, 128, 70), (20.0, 20.0))
    assert _failed(model) == []
    monkeypatch.setattr(ShortConstants, "packed", property(_truncating))
    assert "rounding" in _failed(model)


def _truncating(constants: ShortConstants) -> Array:
    """Without the half step that rounds to the nearest."""
    half = 1 << (constants.shift + (constants.m & 3) - constants.c_shift - 1)
    return np.stack([constants.m, constants.c - half], 1).astype(np.uint16).view(np.int16)

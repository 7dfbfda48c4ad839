"""Mutation testing of the validator: each seeded fault is caught, by the check that names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from ternc.backends.esp32.encode import seal
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import Instruction, Program, Region
from ternc.validation import Report
from tests.validation.fault_model import data, network
from tests.validation.faults import (
    Fault,
    attribute,
    changed,
    in_every_program,
    in_graph,
    in_the_bytes,
    in_the_program,
    in_use,
    operand,
    port,
    quantization,
    swapped,
    validated,
    without,
)

Array = npt.NDArray[Any]


def rows(*order: int) -> Any:
    """The first channels in another order."""

    def change(values: Array) -> Array:
        values[: len(order)] = values[list(order)]
        return values

    return change


def first_sign(values: Array) -> Array:
    flat = values.reshape(-1)
    at = int(np.flatnonzero(flat)[0])
    flat[at] = -flat[at]
    return values


def no_rounding(values: Array, item: Instruction) -> Array:
    """Floor instead of nearest."""
    shift = item.operand("shift")
    assert isinstance(shift, int)
    assert shift > 0
    return values - (1 << (shift - 1))


def overlapping(program: Program) -> None:
    """The output of the second convolution over the residual that is still to be read."""
    live = {id(t): t for item in program.instructions if item.opcode.name == "add_i8"
            for t in item.tensors(Kind.IN)}
    one, other = live.values()
    other.offset = one.offset
    assert one.region is Region.SCRATCH


def reordered(program: Program) -> None:
    items = program.instructions
    items[2], items[3] = items[3], items[2]


def spoiled_weights(model: onnx.ModelProto, value: float) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        if tensor.name == "w2":
            weights = np.asarray(numpy_helper.to_array(tensor)).copy()
            weights[0, 0, 0, 0] = value
            tensor.CopyFrom(numpy_helper.from_array(weights, "w2"))
    return model


def with_data(**changes: Any) -> dict[str, Array]:
    return {name: changes[name](value) if name in changes else value
            for name, value in data().items()}


def broken_pass(patch: pytest.MonkeyPatch) -> Report:
    """Batch normalization folded with the mean's sign the wrong way round."""
    from ternc.passes.fold_batchnorm import FoldBatchNorm

    real = FoldBatchNorm.call

    def call(self: FoldBatchNorm, model: Any) -> Any:
        import onnx_ir as ir

        for node in model.graph:
            if node.op_type == "BatchNormalization":
                mean = node.inputs[3]
                mean.const_value = ir.tensor(-mean.const_value.numpy(), name=mean.name)
        return real(self, model)

    patch.setattr(FoldBatchNorm, "call", call)
    return validated()


FAULTS = [
    # The lowered graph is not the graph.
    in_graph("off-by-one padding", "layer by layer", attribute("conv2", "pads", [2, 1, 0, 1])),
    in_graph("a stride too short", "layer by layer", attribute("average", "strides", [1, 1])),
    in_graph("padding counted in a mean", "layer by layer",
             attribute("average", "kernel_shape", [2, 1])),
    in_graph("swapped inputs", "layer by layer", swapped("sub")),
    in_graph("swapped parts of a Concat", "layer by layer", swapped("concat")),
    in_graph("wrong axis of softmax", "layer by layer", attribute("softmax", "axis", 1)),
    in_graph("missing activation", "layer by layer", without("leaky")),
    in_graph("wrong slope of an activation", "layer by layer", attribute("leaky", "alpha", 0.2)),
    in_graph("swapped output channels", "layer by layer", operand("conv2", 1, rows(1, 0))),
    in_graph("swapped input channels", "layer by layer",
             operand("conv2", 1, lambda w: w[:, [1, 0, *range(2, 8)]])),
    in_graph("flipped sign of a ternary weight", "layer by layer",
             operand("conv1", 1, first_sign)),
    in_graph("transposed weights", "layer by layer", operand("dense2", 1, np.transpose)),
    in_graph("kernel turned round", "layer by layer",
             operand("depthwise", 1, lambda w: w[..., ::-1, ::-1])),
    in_graph("dropped bias", "layer by layer", operand("dense1", 2, np.zeros_like)),
    in_graph("wrong clamp bounds", "layer by layer", operand("clip", 2, lambda v: v * 0.9)),
    in_graph("wrong scale", "layer by layer", quantization("relu1", scale=1.05)),
    in_graph("wrong zero point", "layer by layer", quantization("dense2", zero=3)),
    # An instruction has a wrong operand.
    in_every_program("wrong multiplier", "layer by layer",
                     changed("conv2", "conv2d", "m", lambda m, _: m // 2 * 2 * 9 // 8)),
    in_every_program("multiplier of another channel", "layer by layer",
                     changed("conv1", "conv2d", "m", lambda m, _: np.roll(m, 1))),
    in_every_program("wrong shift", "layer by layer",
                     changed("dense1", "dense", "shift", lambda shift, _: shift + 1)),
    in_every_program("lost rounding", "rounding",
                     changed("depthwise", "conv2d", "c", no_rounding)),
    in_every_program("wrong saturation", "layer by layer",
                     changed("conv2", "conv2d", "hi", lambda hi, _: 60)),
    in_every_program("padding with zero instead of the zero point", "layer by layer",
                     changed("conv2", "conv2d", "x_zero", lambda zero, _: zero + 40)),
    in_every_program("a wrong table entry", "layer by layer",
                     changed("r2_quantized_QuantizeLinear", "lut", "table",
                             lambda table, _: np.roll(table, 5))),
    # The whole program is put together wrongly.
    in_the_program("overlapping offsets in the memory plan", "memory plan", overlapping),
    in_the_program("instructions out of order", "layers chained", reordered),
    in_the_program("a flipped weight in the program alone", "layers chained",
                   changed("dense2", "dense", "w", lambda w, _: first_sign(w))),
    in_the_program("wrong scale of the output", "layers chained",
                   port(True, scale=lambda scale: scale * 1.1)),
    in_the_program("wrong scale of the input", "layers chained",
                   port(False, scale=lambda scale: scale * 1.1)),
    in_the_program("wrong zero point of the input", "layers chained",
                   port(False, zero_point=lambda zero: zero + 2)),
    # The bytes are damaged, with and without a checksum that fits.
    in_the_bytes("a corrupted byte", "program",
                 lambda blob: bytes([*blob[:-100], blob[-100] ^ 1, *blob[-99:]])),
    in_the_bytes("a corrupted byte under a good checksum", "program",
                 lambda blob: seal(bytes([*blob[:900], blob[900] ^ 1, *blob[901:]]))),
    in_the_bytes("a blob cut short", "program", lambda blob: bytes(blob[:-16])),
    # A pass rewrites the graph wrongly.
    Fault("a pass that changes the answer", "passes", broken_pass),
    # What the user gives is wrong.
    in_use("stale calibration", "input range",
           calibration_data=lambda: {"x": data()["x"] * np.float32(0.3)}),
    in_use("stale labels", "labels",
           data=lambda: with_data(labels=lambda y: np.random.default_rng(0).permutation(y))),
    in_use("wrong input normalization", "input range",
           data=lambda: with_data(x=lambda x: x * np.float32(127.5) + np.float32(127.5))),
    in_use("normalization applied twice", "input range",
           data=lambda: with_data(x=lambda x: x / np.float32(127.5))),
    in_use("NaN in the weights", "onnx",
           model=lambda: spoiled_weights(network(), float("nan"))),
    in_use("infinity in the weights", "onnx",
           model=lambda: spoiled_weights(network(), float("inf"))),
    in_use("weights that ternarization destroys", "accuracy", ternarize="bitnet"),
]


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if check.failed]


def test_there_are_enough() -> None:
    assert len(FAULTS) >= 25
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_without_a_fault_everything_passes() -> None:
    report = validated()
    assert failed(report) == []
    assert report.exit_code == 0
    names = {check.name for check in report.checks}
    assert {fault.check for fault in FAULTS} <= names


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    report = fault.report(monkeypatch)
    assert not report.passed
    assert fault.check in failed(report), failed(report)

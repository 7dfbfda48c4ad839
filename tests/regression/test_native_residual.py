"""-O speed replaced a convolution that adds a residual by code that does not add it."""

from __future__ import annotations

from ternc import compiler
from tests.making import MODELS


def test_a_layer_with_a_residual_keeps_its_kernel() -> None:
    compiled = compiler.compile(MODELS / "gesture_cnn.onnx", "esp32c3", optimize="speed",
                                calibration_data=MODELS / "gesture.npz")
    assert compiled.host is not None
    adding = 0
    for mine, plain in zip(compiled.program.instructions, compiled.host.instructions, strict=True):
        names = [operand.name for operand in plain.opcode.operands]
        convolution = plain.opcode.name.startswith("conv")
        if convolution and "r" in names and plain.operand("r") is not None:
            adding += 1
            assert mine.opcode is plain.opcode
    assert adding == 1

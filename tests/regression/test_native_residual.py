"""-O speed replaced a convolution that adds a residual by code that does not add it."""

from __future__ import annotations

import numpy as np

from ternc import compiler
from ternc.backends.esp32.program import Instruction
from tests.making import MODELS


def adds(item: Instruction) -> bool:
    """Whether the instruction adds a residual, as an addition or with a convolution."""
    names = [operand.name for operand in item.opcode.operands]
    return item.opcode.name == "add_i8" or ("r" in names and item.operand("r") is not None)


def test_residuals_are_added_beside_generated_code() -> None:
    data = MODELS / "gesture.npz"
    by_level = {
        level: compiler.compile(MODELS / "gesture_cnn.onnx", "esp32c3", optimize=level,
                                calibration_data=data)
        for level in ("default", "speed")
    }
    counts = {level: sum(map(adds, compiled.program.instructions))
              for level, compiled in by_level.items()}
    assert counts["speed"] == counts["default"] == 1
    fast = by_level["speed"]
    assert fast.program.natives
    assert fast.host is not None
    for mine, plain in zip(fast.program.instructions, fast.host.instructions, strict=True):
        assert mine.opcode is plain.opcode or not adds(plain)
    x = np.load(data)["motion"][:1]
    for name, expected in by_level["default"].run(x).items():
        np.testing.assert_array_equal(fast.run(x)[name], expected)

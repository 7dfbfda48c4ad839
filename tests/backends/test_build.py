"""What memory kernels get: in place, within a budget, within --ram; and what happens beyond."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.diagnostics import DoesNotFit

LEVELS: tuple[Literal["size", "default", "speed"], ...] = ("size", "default", "speed")
PIXELS = 12 * 12 * 32


def network(kernel: int, layers: int = 3) -> onnx.ModelProto:
    """Ternary convolutions of 32 channels at 12x12."""
    generator = np.random.default_rng(0)
    nodes, initializers, x = [], [], "x"
    for i in range(layers):
        codes = generator.choice([-1, 0, 1], (32, 32, kernel, kernel)) * np.float32(0.1)
        initializers.append(numpy_helper.from_array(codes.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node(
            "Conv", [x, f"w{i}"], [f"c{i}"], f"conv{i}", pads=[kernel // 2] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        x = f"r{i}"
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 32, 12, 12))],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def data(count: int = 4) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 1, (count, 32, 12, 12)).astype(np.float32)


def compiled(
    model: onnx.ModelProto, optimize: Literal["size", "default", "speed"] = "default",
    ram: int | None = None
) -> CompiledModel:
    return compiler.compile(model, "esp32c3", calibration_data=data(), optimize=optimize,
                            io_layout="nhwc", ram=ram)


def kernels(model: CompiledModel) -> set[str]:
    return {item.opcode.name for item in model.program.instructions}


def scratch(model: CompiledModel) -> int:
    return max(sum(t.nbytes for t in item.scratch) for item in model.program.instructions)


def test_pointwise_layers_write_over_their_input() -> None:
    """The arena is one tensor and the tables, at every step."""
    found = compiled(network(1))
    assert kernels(found) == {"conv2d_i8_t2_lut"}
    assert found.plan.arena_bytes <= PIXELS + scratch(found) + 64


def test_levels_trade_memory_for_speed() -> None:
    """The smallest takes the least memory, and the answers are the same."""
    found = [compiled(network(3), level) for level in LEVELS]
    arenas = [model.plan.arena_bytes for model in found]
    assert arenas[0] < min(arenas[1:])
    sample = data(1).transpose(0, 2, 3, 1)
    answers = [model.run({"x": sample}) for model in found]
    for other in answers[1:]:
        for name, value in answers[0].items():
            np.testing.assert_array_equal(other[name], value)


def test_ram_bounds_the_scratch() -> None:
    """Less memory means smaller tables, down to kernels without any."""
    most = compiled(network(3)).plan.arena_bytes
    least = compiled(network(3), ram=2 * PIXELS + 64)
    assert least.plan.arena_bytes <= 2 * PIXELS + 64
    assert kernels(least) == {"conv2d_i8_t2"}
    for ram in range(2 * PIXELS + 1024, most, 4000):
        assert compiled(network(3), ram=ram).plan.arena_bytes <= ram


def test_what_no_kernel_can_run_in_is_diagnosed() -> None:
    """With the bytes that are missing: with them it fits."""
    with pytest.raises(DoesNotFit) as caught:
        compiled(network(3), ram=PIXELS - 100)
    (problem,) = [d for d in caught.value.diagnostics if d.code == "TC0402"]
    assert "conv" in " ".join(problem.notes)
    missing = re.search(r"([\d,]+) are missing", problem.message)
    assert missing is not None
    least = PIXELS - 100 + int(missing[1].replace(",", ""))
    assert PIXELS < least < 1.5 * PIXELS  # an output over its input, some rows apart
    assert compiled(network(3), ram=least).plan.arena_bytes == least

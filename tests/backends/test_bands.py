"""Pooled convolutions in bands of rows: the same bytes in a smaller arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ternc import compiler
from ternc._engine import Model
from ternc.backends.esp32.bands import pooled_layers, split_into_bands
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.memory_plan import plan_memory
from ternc.compiled import CompiledModel
from ternc.diagnostics import Diagnostics

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A convolution, perhaps a residual, and a pooling of what comes out."""

    size: tuple[int, int]
    channels: tuple[int, int]
    kernel: tuple[int, int]
    stride: int
    dilation: int
    pads: tuple[int, int, int, int]
    window: tuple[int, int]
    pool: Literal["MaxPool", "AveragePool"]
    pool_pads: tuple[int, int, int, int]
    ternary: bool
    integers: bool
    residual: bool

    def model(self) -> onnx.ModelProto:
        rng = np.random.default_rng(0)
        given, made = self.channels
        shape = (made, given, *self.kernel)
        codes = rng.choice([-0.25, 0, 0.25], shape) if self.ternary else rng.normal(size=shape)
        constants = {"w": codes.astype(np.float32), "b": rng.normal(size=made).astype(np.float32)}
        nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=self.pads,
                                  strides=[self.stride] * 2, dilations=[self.dilation] * 2)]
        image = "c"
        if self.residual:
            nodes += [helper.make_node("Conv", ["x", "w", "b"], ["d"], "other", pads=self.pads,
                                       strides=[self.stride] * 2, dilations=[self.dilation] * 2),
                      helper.make_node("Add", ["c", "d"], ["s"], "sum")]
            image = "s"
        nodes.append(helper.make_node(
            self.pool, [image], ["y"], "pool", kernel_shape=self.window,
            strides=[self.window[0], max(1, self.window[1] - 1)], pads=self.pool_pads))
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT,
                                                       (1, given, *self.size))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)],
                                  ir_version=10)
        return onnx.shape_inference.infer_shapes(model)

    @property
    def data(self) -> Array:
        shape = (3, 1, self.channels[0], *self.size)
        return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    pads = (*pair(0, 2), *pair(0, 2))
    return Case(
        pair(10, 17), pair(1, 9), pair(1, 3), draw(st.integers(1, 2)), draw(st.integers(1, 2)),
        pads, pair(1, 2), draw(st.sampled_from(["MaxPool", "AveragePool"])),
        (0, 0, 0, 0), draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))


def answer(case: Case, bands: int, room: int) -> tuple[bytes, int, int, int]:
    """What the program puts out, its arena, its instructions, and how many layers were split."""
    data = {"x": case.data} if case.integers else None
    final = compiler.compile(case.model(), "host", calibration_data=data).model
    program, _ = lower(final, Diagnostics(), channels_last_io=True, room=lambda _: Room(room))
    layers = pooled_layers(program)
    if bands:
        folded = split_into_bands(program, dict.fromkeys(layers, bands))
        assert not set(folded) & set(program.values)
    plan = plan_memory(program)
    model = Model(encode(program))
    model.write_input(0, np.random.default_rng(2).bytes(program.inputs[0].tensor.nbytes)
                      if case.integers else case.data[0].tobytes())
    model.run()
    return model.read_output(0), plan.arena_bytes, len(program.instructions), len(layers)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(2, 5), st.sampled_from([0, 40960]))
def test_bytes_are_the_same(case: Case, bands: int, room: int) -> None:
    assert answer(case, bands, room)[0] == answer(case, 0, room)[0]


PLAIN = Case((16, 16), (4, 16), (3, 3), 1, 1, (1, 1, 1, 1), (2, 2), "MaxPool", (0, 0, 0, 0),
             True, True, False)


@pytest.mark.parametrize("room", [0, 40960])
@pytest.mark.parametrize("integers", [True, False])
def test_the_image_is_never_whole(integers: bool, room: int) -> None:
    case = Case(**{**PLAIN.__dict__, "integers": integers})
    whole, arena, count, _ = answer(case, 0, 0)
    split, smaller, more, _ = answer(case, 4, 0)
    assert split == whole
    assert more == count + 6
    band = 16 * 16 * 16 // 4
    assert smaller == (16 * 16 * 4 + 8 * 15 * 16 + band) * (1 if integers else 4) < arena


@pytest.mark.parametrize("change", [
    {"pool_pads": (1, 0, 0, 0)},  # a row above the image
    {"window": (2, 2), "size": (2, 16)},  # one row
], ids=["padded", "one row"])
def test_what_is_left_whole(change: dict[str, tuple[int, ...]]) -> None:
    case = Case(**{**PLAIN.__dict__, **change})
    assert answer(case, 4, 0)[3] == 0


def test_size_splits_and_says_what_is_gone() -> None:
    def compiled(optimize: Literal["size", "default"], ram: int | None = None
                 ) -> CompiledModel:
        return compiler.compile(PLAIN.model(), "esp32c3", calibration_data={"x": PLAIN.data},
                                optimize=optimize, ram=ram)

    small, usual = compiled("size"), compiled("default")
    assert small.plan.arena_bytes < 0.7 * usual.plan.arena_bytes
    x = PLAIN.data[0]
    for name, value in usual.run({"x": x}).items():
        np.testing.assert_array_equal(small.run({"x": x})[name], value)
    assert "pool" in small.folded.values()
    tight = compiled("default", small.plan.arena_bytes + 256)
    assert tight.plan.arena_bytes <= small.plan.arena_bytes + 256

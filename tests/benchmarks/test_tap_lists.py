"""The assembly of `conv2d_i8_t2_lists` gives its portable form's bytes, whatever the shape."""

from __future__ import annotations

import pytest

from tests.benchmarks import emulate
from tests.benchmarks.count import compile_layer
from tests.benchmarks.layers import Layer

LAYERS = (
    Layer("even lanes, two strips", (1, 8, 70, 3), (8, 1, 3, 3), 0, 0, (1, 1, 1, 1), group=8),
    Layer("16 columns", (1, 8, 32, 9), (8, 1, 3, 3), 0, 0, (1, 1, 1, 1), group=8, relu=True),
    Layer("odd channels", (1, 13, 11, 6), (13, 1, 3, 3), 0, 0, (0, 1, 2, 1), group=13),
    Layer("strides", (1, 16, 23, 9), (16, 1, 3, 3), 0, 0, (1, 1, 1, 1), (2, 2), group=16),
    Layer("strides beyond the window", (1, 16, 30, 8), (16, 1, 2, 2), 0, 0, (), (3, 4), group=16),
    Layer("dilation", (1, 8, 21, 12), (8, 1, 3, 3), 0, 0, (2, 3, 2, 3), (1, 1), group=8,
          dilations=(2, 3)),
    Layer("multiplier", (1, 3, 19, 7), (21, 1, 3, 3), 0, 0, (1, 1, 1, 1), group=3),
    Layer("one channel", (1, 1, 28, 28), (12, 1, 5, 5), 0, 0, (2, 2, 2, 2)),
    Layer("1-D", (1, 1, 299), (9, 1, 7), 0, 0, (3, 3)),
    Layer("1-D depthwise", (1, 24, 51), (24, 1, 5), 0, 0, (2, 2), group=24, relu=True),
    Layer("1-D strides", (1, 8, 200), (8, 1, 9), 0, 0, (4, 4), (2,), group=8),
    Layer("single pixels", (1, 8, 9, 9), (8, 1, 1, 1), 0, 0, group=8),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(bool(emulate.missing_tools()), reason=emulate.missing_tools() or "-")
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_bytes_are_the_hosts(layer: Layer) -> None:
    compiled = compile_layer(layer)
    (item,) = compiled.program.instructions
    assert item.opcode.name == "conv2d_i8_t2_lists"
    emulate.count(compiled)  # compares them

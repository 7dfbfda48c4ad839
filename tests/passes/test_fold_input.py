"""Normalization of the input folded into what reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import constant
from ternc.passes.detect_ternary import DetectTernary
from ternc.passes.fold_input import FoldInput
from tests.passes.running import check, graph, ops

RNG = np.random.default_rng(0)
MEAN = np.array([0.5, 0.4, 0.3], np.float32).reshape(3, 1, 1)
STD = np.array([0.2, 0.3, 0.4], np.float32).reshape(3, 1, 1)
K = RNG.standard_normal((6, 3, 3, 3)).astype(np.float32)


def _image(body: str, **constants: Any) -> ir.Model:
    return graph(body, "float[1,3,6,6] x", "float y", **constants)


def _fold(model: ir.Model) -> bool:
    common.ShapeInferencePass()(model)
    return check(FoldInput({}), model).modified


NORMALIZE = "s = Sub (x, mean)\nd = Div (s, std)\n"


@pytest.mark.parametrize("bias", [False, True])
def test_per_channel_into_convolution(bias: bool) -> None:
    model = _image(f"{NORMALIZE}y = Conv (d, k{', b' if bias else ''})", mean=MEAN, std=STD, k=K,
                   b=RNG.standard_normal(6).astype(np.float32))
    assert _fold(model)
    assert ops(model) == ["Conv"]


def test_groups() -> None:
    """Each group has channels of its own."""
    model = _image(f"{NORMALIZE}y = Conv <group=3> (d, k)", mean=MEAN, std=STD,
                   k=RNG.standard_normal((6, 1, 3, 3)).astype(np.float32))
    assert _fold(model)
    assert ops(model) == ["Conv"]


def test_scale_alone_passes_padding() -> None:
    """0 / std is 0: padding stays right."""
    model = _image("d = Div (x, std)\ny = Conv <pads=[1,1,1,1]> (d, k)", std=STD, k=K)
    assert _fold(model)


@pytest.mark.parametrize("padding", ["pads=[1,0,0,0]", 'auto_pad="SAME_UPPER"'])
def test_offset_does_not_pass_padding(padding: str) -> None:
    """What is padded with zeros is the normalized image."""
    model = _image(f"{NORMALIZE}y = Conv <{padding}> (d, k)", mean=MEAN, std=STD, k=K)
    assert not _fold(model)
    assert ops(model) == ["Sub", "Div", "Conv"]


@pytest.mark.parametrize("layer", ["MatMul (f, w)", "Gemm <transB=1, alpha=0.5> (f, t, b)"])
def test_one_number_through_flatten(layer: str) -> None:
    """Views do not mind a factor and an offset for all."""
    model = graph(f"m = Mul (x, two)\ns = Sub (m, one)\nf = Flatten (s)\ny = {layer}",
                  "float[2,3,4] x", "float y", two=np.float32(2), one=np.float32(1),
                  w=RNG.standard_normal((12, 5)).astype(np.float32),
                  t=RNG.standard_normal((5, 12)).astype(np.float32),
                  b=RNG.standard_normal(5).astype(np.float32))
    assert _fold(model)
    assert ops(model)[:2] == ["Flatten", layer.split()[0]]


def test_ternary_codes_stay() -> None:
    """The scale takes the factor, the bias the offset."""
    codes = RNG.integers(-1, 2, (5, 8)).astype(np.float32)
    model = graph("m = Mul (x, two)\ns = Sub (m, one)\ny = Gemm <transB=1> (s, w)",
                  "float[1,8] x", "float y", two=np.float32(2), one=np.float32(1), w=codes)
    DetectTernary(Diagnostics())(model)
    assert _fold(model)
    assert ops(model) == ["DequantizeLinear", "Gemm"]
    stored = constant(model.graph[0].inputs[0])
    assert stored is not None
    np.testing.assert_array_equal(stored.astype(np.float32), codes)


def test_per_channel_does_not_pass_codes() -> None:
    """A factor for each input channel has no place in ternary weights."""
    model = graph("m = Mul (x, a)\ny = Gemm <transB=1> (m, w)", "float[1,8] x", "float y",
                  a=RNG.random(8).astype(np.float32),
                  w=RNG.integers(-1, 2, (5, 8)).astype(np.float32))
    DetectTernary(Diagnostics())(model)
    assert not _fold(model)


@pytest.mark.parametrize(("offset", "folds"), [(1.0, True), (0.3, False), (200.0, False)])
def test_quantization(offset: float, folds: bool) -> None:
    """An offset of whole steps moves the zero point."""
    model = graph("m = Mul (x, two)\ns = Sub (m, o)\nq = QuantizeLinear (s, scale, zero)\n"
                  "y = DequantizeLinear (q, scale, zero)", "float[4,8] x", "float y",
                  two=np.float32(2), o=np.float32(offset), scale=np.float32(0.25),
                  zero=np.int8(3))
    assert _fold(model) is folds
    assert len(ops(model)) == (2 if folds else 4)


def test_second_reader_keeps_the_input() -> None:
    """Who else reads the normalized input still gets it."""
    model = graph("m = Mul (x, two)\nz = MatMul (m, w)\nr = Relu (m)\ny = Add (z, r)",
                  "float[1,4] x", "float[1,4] y", two=np.float32(2),
                  w=RNG.standard_normal((4, 4)).astype(np.float32))
    assert not _fold(model)

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics, Severity
from ternc.passes.detect_ternary import DetectTernary
from ternc.passes.import_matmul_nbits import ImportMatMulNBits
from tests.passes.running import Array, Constants, check, graph, ops

RNG = np.random.default_rng(17)
K, N = 64, 6


def _pack(codes: Array, bits: int) -> Array:
    """[N, K] codes, packed along K from the least significant bits."""
    fields = codes.reshape(N, -1, 8 // bits).astype(np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed: Array = np.bitwise_or.reduce(fields << shifts, axis=-1)
    return packed


def _model(bits: int, block: int, codes: Array, scales: Array, zeros: Array | None = None,
           extra: str = "") -> ir.Model:
    packed = _pack(codes, bits).reshape(N, K // block, block * bits // 8)
    constants: Constants = {"w": packed, "s": scales.astype(np.float32).reshape(-1)}
    if zeros is not None:
        constants["z"] = zeros
    body = (f"y = com.microsoft.MatMulNBits<K={K}, N={N}, bits={bits}, block_size={block}, "
            f"accuracy_level=1>(x, w, s{', z' if zeros is not None else ''}{extra})")
    model = graph(body, f"float[2,{K}] x", f"float[2,{N}] y", **constants)
    model.graph[0].name = "layer"
    return model


@pytest.mark.parametrize("block", [16, 32, 64])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_becomes_a_matmul(bits: int, block: int) -> None:
    codes = RNG.integers(0, 2**bits, (N, K))
    model = _model(bits, block, codes, RNG.uniform(0.1, 1, (N, K // block)))
    assert check(ImportMatMulNBits(Diagnostics()), model).modified
    assert ops(model) == ["MatMul"]


def test_packed_zero_points() -> None:
    codes = RNG.integers(0, 16, (N, K))
    zeros = RNG.integers(0, 256, (N, K // 16 // 2)).astype(np.uint8).reshape(-1)
    model = _model(4, 16, codes, RNG.uniform(0.1, 1, (N, K // 16)), zeros)
    assert check(ImportMatMulNBits(Diagnostics()), model).modified


def test_ternary_codes_are_found_behind_it() -> None:
    codes = RNG.integers(-1, 2, (N, K)) + 2
    scales = np.repeat(RNG.uniform(0.1, 1, (N, 1)), K // 16, axis=1)
    model = _model(2, 16, codes, scales)
    diagnostics = Diagnostics()
    check(ImportMatMulNBits(diagnostics), model)
    assert check(DetectTernary(diagnostics), model).modified
    assert not list(diagnostics)


def test_scales_that_vary_in_a_channel_are_noted() -> None:
    codes = RNG.integers(-1, 2, (N, K)) + 2
    model = _model(2, 16, codes, RNG.uniform(0.1, 1, (N, K // 16)))
    diagnostics = Diagnostics()
    check(ImportMatMulNBits(diagnostics), model)
    assert [(item.severity, item.node) for item in diagnostics] == [(Severity.NOTE, "layer")]


def test_permuted_weight_is_refused() -> None:
    model = _model(4, 16, RNG.integers(0, 16, (N, K)), np.ones((N, K // 16)), extra=", , g")
    diagnostics = Diagnostics()
    assert not ImportMatMulNBits(diagnostics)(model).modified
    assert [item.code for item in diagnostics] == ["TC0102"]


def test_other_models_are_left_alone() -> None:
    model = graph("y = Relu(x)", "float[4] x", "float[4] y")
    assert not check(ImportMatMulNBits(Diagnostics()), model).modified

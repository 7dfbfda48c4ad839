"""Arbitrary operand words: what `check` accepts must stay inside its tensors.

The harness keeps guard bytes around every tensor and compares two divisions of the work over
different memory contents, so reading outside shows as well as writing. Run with sanitizers
(TERNC_CFLAGS) for undefined behaviour.
"""

from __future__ import annotations

import numpy as np
import pytest

from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS, Kind
from tests.runtime.harness import Array, Call, Number

# The element types that the operands of each kernel are tried with, in operand order.
_F, _B, _S, _I = np.float32, np.int8, np.int16, np.int32
_TYPES: dict[str, tuple[type, ...]] = {
    "binary_f32": (_F, _F, _F), "add_i8": (_B, _B, _B), "mul_i8": (_B, _B, _B),
    "div_i8": (_B, _B, _B), "affine_f32": (_F, _F, _F, _F), "affine_i8": (_B, _I, _I, _B),
    "prelu_i8": (_B, _I, _B), "lut_i8": (_B, _B, _B), "quantize_i8": (_F, _B),
    "dequantize_i8": (_B, _F), "cast": (_F, np.uint8), "maxpool_f32": (_F, _F),
    "maxpool_i8": (_B, _B), "avgpool_f32": (_F, _F), "avgpool_i8": (_B, _I, _B),
    "softmax_f32": (_F, _F), "softmax_i8": (_B, _I, _B), "layernorm_f32": (_F, _F, _F, _F),
    "layernorm_i8": (_B, _I, _I, _B), "argmax_f32": (_F, _I), "argmax_i8": (_B, _I),
    "absmax_i8": (_F, _B, _F), "scale_rows_f32": (_F, _F, _F, _F),
    "copy_nd": (_F, _F), "fill": (_F,), "gather": (_F, _I, _F),
    "compare": (_F, _F, np.bool_), "where": (np.bool_, _F, _F, _F),
    "resample_f32": (_F, _I, _F, _F), "scatter_f32": (_F, _I, _F, _F),
    "topk": (_F, _F, _I),
    "add_i16": (_S, _S, _S), "mul_i16": (_S, _S, _B), "div_i16": (_S, _S, _S),
    "matmul_i16": (_S, _S, _S), "affine_i16": (_S, _I, _I, _I, _S), "convert_i16": (_F, _S),
    "maxpool_i16": (_S, _S), "avgpool_i16": (_S, _I, _B), "softmax_i16": (_S, _I, _S),
    "layernorm_i16": (_S, _I, _I, _S), "argmax_i16": (_S, _I), "rescale": (_S, _S),
}  # fmt: skip
_EXTREMES = [2**31 - 1, 2**31, 2**32 - 1, 2**16, 2**24, 2**28, 255, 128]


def _number(kind: Kind, rng: np.random.Generator, wild: float) -> Number:
    if kind is Kind.F32:
        return float(rng.choice([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-38, 3e38]))
    if rng.random() >= wild:
        return int(rng.choice([0, 1, 1, 1, 2, 3, 4]))
    value = int(rng.choice(_EXTREMES))
    return value if kind is Kind.U32 else (value + 2**31) % 2**32 - 2**31


def _tensors(name: str, rng: np.random.Generator) -> dict[str, Array | None]:
    tensors: dict[str, Array | None] = {}
    operands = [operand for operand in BY_NAME[name].operands if operand.kind in TENSOR_KINDS]
    for operand, dtype in zip(operands, _TYPES[name], strict=True):
        tables = 512 if name == "softmax_i16" else 256
        size = tables if operand.name == "table" else int(rng.integers(1, 100))
        data: Array = rng.integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8).view(dtype)
        tensors[operand.name] = None if operand.optional and rng.random() < 0.3 else data
    return tensors


@pytest.mark.parametrize("name", _TYPES)
def test_accepted_operands_stay_inside(name: str) -> None:
    rng = np.random.default_rng(BY_NAME[name].code)
    accepted = 0
    for attempt in range(600):
        wild = (0.0, 0.02, 0.1)[attempt % 3]
        numbers = {
            operand.name: _number(operand.kind, rng, wild)
            for operand in BY_NAME[name].operands if operand.kind not in TENSOR_KINDS
        }  # fmt: skip
        if "lo" in numbers and rng.random() < 0.9:
            numbers |= {"lo": -100, "hi": 100}
        if "size" in numbers and rng.random() < 0.9:
            numbers["size"] = 4
        tensors = _tensors(name, rng)
        if name == "softmax_i8" and attempt % 2 == 0:
            tensors["table"] = np.sort(rng.integers(1, 2**24, 256, np.int32))[::-1]
        if name == "softmax_i16" and attempt % 2 == 0:
            tensors["table"] = rng.integers(2**20, 2**31, 512, np.int32)
        it = Call(name, tensors, numbers)
        if it.check() != 0:
            continue
        accepted += 1
        rows = it.rows
        assert rows <= 100 * 100, "more work than the tensors hold"
        whole = it.run([(0, rows)], 0xA5)["y"]
        middle = rows // 2
        pieces = [(middle, rows), (0, middle)]
        # copy_nd may be told to write a place twice: then the order shows, and nothing else.
        divided = it.run(pieces[::-1] if name == "copy_nd" else pieces, 0x3C)["y"]
        assert whole.tobytes() == divided.tobytes()
    assert accepted >= 20, accepted

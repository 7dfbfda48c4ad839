"""Small programs, placed by hand, for tests of what comes after lowering."""

from __future__ import annotations

from typing import Any

import numpy as np

from ternc.backends.esp32.program import (
    DType,
    Port,
    Program,
    Region,
    Tensor,
    instruction,
)
from ternc.quantize import pack_ternary

FLOAT = 1  # ONNX TensorProto element types
INT8 = 3

WEIGHTS = np.array([[1, 0, -1, 1, 0, 1], [0, -1, -1, 0, 1, 1], [1, 1, 1, -1, 0, 0]], np.int8)


def constant(name: str, data: np.ndarray, dtype: DType) -> Tensor:
    return Tensor(name, dtype, data.shape, Region.CONSTANT, data)


def activation(
    name: str, dtype: DType, shape: tuple[int, ...], offset: int, region: Region = Region.SCRATCH
) -> Tensor:
    return Tensor(name, dtype, shape, region, offset=offset)


def dense() -> Program:
    """A ternary layer of 6 inputs and 3 outputs on int8, then a table that negates.

    With the multiplier below, `requant(acc) = acc`, so the answer is `-(WEIGHTS @ x)`, saturated.
    """
    x = activation("x", DType.I8, (1, 6), 0)
    hidden = activation("hidden", DType.I8, (1, 3), 16)
    y = activation("y", DType.I8, (1, 3), 32)
    packed = np.frombuffer(pack_ternary(WEIGHTS), np.uint8)
    ones, half = np.full(3, 1 << 20, np.int32), np.full(3, 8, np.int32)
    table = (-np.arange(256).astype(np.uint8).astype(np.int8).astype(np.int32)).clip(-128, 127)
    return Program(
        inputs=[Port("pixels", x, (1, 6), INT8, scale=0.5, zero_point=-3)],
        outputs=[Port("scores", y, (1, 3), INT8, scale=0.25, zero_point=4)],
        instructions=[
            instruction(
                "dense_i8_t2", "fc", "Gemm", x=x, w=constant("w", packed, DType.U8),
                m=constant("m", ones, DType.I32), c=constant("c", half, DType.I32), y=hidden,
                rows=1, in_features=6, out_features=3, shift=4, lo=-128, hi=127,
            ),
            instruction(
                "lut_i8", "neg", "Neg", x=hidden,
                table=constant("table", table.astype(np.int8), DType.I8), y=y, count=3,
            ),
        ],
        region_bytes={Region.SCRATCH: 48, Region.STATE: 0, Region.SLOW: 0},
    )


def accumulator() -> Program:
    """A float sum kept in the state: `total += x`; the state is the output too."""
    x = activation("x", DType.F32, (4,), 0)
    total = activation("total", DType.F32, (4,), 0, Region.STATE)
    axes: dict[str, Any] = {
        f"{prefix}{i}": int(i == 5) for prefix in ("as", "bs") for i in range(6)}
    dims: dict[str, Any] = {f"d{i}": 4 if i == 5 else 1 for i in range(6)}
    add = instruction(
        "binary_f32", "sum", "Add", a=total, b=x, y=total, op=0, **dims, **axes,
        lo=-float("inf"), hi=float("inf"),
    )
    return Program(
        inputs=[Port("x", x, (4,), FLOAT)], outputs=[Port("total", total, (2, 2), FLOAT)],
        instructions=[add],
        region_bytes={Region.SCRATCH: 16, Region.STATE: 16, Region.SLOW: 0},
    )


def normalization() -> Program:
    """A layer with absent optional operands and a slow region."""
    x = activation("x", DType.F32, (2, 4), 0)
    y = activation("y", DType.F32, (2, 4), 0, Region.SLOW)
    item = instruction(
        "layernorm_f32", "ln", "LayerNormalization", x=x, gamma=None, beta=None, y=y, outer=2,
        n=4, epsilon=1e-5,
    )
    return Program(
        inputs=[Port("x", x, (2, 4), FLOAT)], outputs=[Port("y", y, (2, 4), FLOAT)],
        instructions=[item],
        region_bytes={Region.SCRATCH: 32, Region.STATE: 0, Region.SLOW: 32},
    )

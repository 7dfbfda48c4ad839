"""The packed linear layer on a CUDA device. Imported only where Triton is installed.

Triton reads the annotations of a kernel's parameters, hence only its own are there.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor

# Outputs and bytes of codes of a program that multiplies, weights of one that unpacks: the
# fastest of those tried on an H200.
_ROWS, _BYTES = 8, 512
_WEIGHTS = 2048


@triton.jit
def _signs(codes, place):  # type: ignore[no-untyped-def]
    """-1, 0, 1 of the code at `place`; the first weight has the most significant two bits."""
    code = (codes.to(tl.int32) >> (6 - 2 * place)) & 3
    return (code & 1) - (code >> 1)


@triton.jit
def _rows(  # type: ignore[no-untyped-def]
    x, packed, scale, bias, out, rows, columns, pitch, per_row: tl.constexpr,
    has_bias: tl.constexpr, block_rows: tl.constexpr, block_bytes: tl.constexpr,
):
    """`block_rows` outputs of one sample; four weights of each byte in turn."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    sample = tl.program_id(1).to(tl.int64)
    sums = tl.zeros((block_rows, block_bytes), tl.float32)
    for start in range(0, pitch, block_bytes):
        at = start + tl.arange(0, block_bytes)
        inside = (row[:, None] < rows) & (at[None, :] < pitch)
        codes = tl.load(
            packed + row[:, None].to(tl.int64) * pitch + at[None, :], mask=inside, other=0)
        for k in tl.static_range(4):
            column = at * 4 + k
            value = tl.load(x + sample * columns + column, mask=column < columns, other=0.0)
            sums += _signs(codes, k).to(tl.float32) * value.to(tl.float32)[None, :]
    result = tl.sum(sums, axis=1)
    if per_row:
        result *= tl.load(scale + row, mask=row < rows, other=0.0).to(tl.float32)
    else:
        result *= tl.load(scale).to(tl.float32)
    if has_bias:
        result += tl.load(bias + row, mask=row < rows, other=0.0).to(tl.float32)
    tl.store(out + sample * rows + row, result.to(out.dtype.element_ty), mask=row < rows)


@triton.jit
def _weights(  # type: ignore[no-untyped-def]
    packed, scale, out, columns, pitch, per_row: tl.constexpr, block: tl.constexpr,
):
    """`block` weights of a row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < columns
    codes = tl.load(packed + row * pitch + column // 4, mask=inside, other=0)
    step = tl.load(scale + row) if per_row else tl.load(scale)
    tl.store(out + row * columns + column, _signs(codes, column % 4).to(step.dtype) * step,
             mask=inside)


def packed_linear(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """As `kernel.packed_linear`, on the tensors' device, summed in float32."""
    rows, pitch = packed.shape
    flat = x.detach().reshape(-1, x.shape[-1]).contiguous()
    out = torch.empty(flat.shape[0], rows, dtype=x.dtype, device=x.device)
    if out.numel():
        with torch.cuda.device_of(x):
            _rows[(triton.cdiv(rows, _ROWS), flat.shape[0])](
                flat, packed.contiguous(), scale.contiguous(),
                scale if bias is None else bias.contiguous(), out, rows, flat.shape[1], pitch,
                per_row=scale.numel() > 1, has_bias=bias is not None, block_rows=_ROWS,
                block_bytes=_BYTES)
    return out.reshape(*x.shape[:-1], rows)


def unpack(packed: Tensor, scale: Tensor, columns: int) -> Tensor:
    """Weights (rows, `columns`) of packed codes, in `scale`'s type, on the tensors' device."""
    rows, pitch = packed.shape
    out = torch.empty(rows, columns, dtype=scale.dtype, device=packed.device)
    if out.numel():
        with torch.cuda.device_of(packed):
            _weights[(rows, triton.cdiv(columns, _WEIGHTS))](
                packed.contiguous(), scale.contiguous(), out, columns, pitch,
                per_row=scale.numel() > 1, block=_WEIGHTS)
    return out

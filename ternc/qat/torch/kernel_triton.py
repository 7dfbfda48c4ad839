"""The packed linear layer on a CUDA device. Imported only where Triton is installed.

Triton reads the annotations of a kernel's parameters, hence only its own are there.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor

_ROWS = 4
_BYTES = 256


@triton.jit
def _rows(  # type: ignore[no-untyped-def]
    x, packed, scale, bias, out, rows, columns, pitch,
    per_row: tl.constexpr, has_bias: tl.constexpr, block_rows: tl.constexpr,
    block_bytes: tl.constexpr,
):
    """`block_rows` outputs of one sample; four weights of each byte in turn."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    sample = tl.program_id(1).to(tl.int64)
    sums = tl.zeros((block_rows, block_bytes), tl.float32)
    for start in range(0, pitch, block_bytes):
        at = start + tl.arange(0, block_bytes)
        inside = (row[:, None] < rows) & (at[None, :] < pitch)
        codes = tl.load(
            packed + row[:, None].to(tl.int64) * pitch + at[None, :], mask=inside, other=0
        ).to(tl.int32)
        for k in tl.static_range(4):
            column = at * 4 + k
            value = tl.load(x + sample * columns + column, mask=column < columns, other=0.0)
            code = (codes >> (6 - 2 * k)) & 3
            weight = ((code & 1) - (code >> 1)).to(tl.float32)
            sums += weight * value.to(tl.float32)[None, :]
    result = tl.sum(sums, axis=1)
    if per_row:
        result *= tl.load(scale + row, mask=row < rows, other=0.0).to(tl.float32)
    else:
        result *= tl.load(scale).to(tl.float32)
    if has_bias:
        result += tl.load(bias + row, mask=row < rows, other=0.0).to(tl.float32)
    tl.store(out + sample * rows + row, result.to(out.dtype.element_ty), mask=row < rows)


def packed_linear(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """As `kernel.packed_linear`, on the tensors' device, summed in float32."""
    rows, pitch = packed.shape
    flat = x.detach().reshape(-1, x.shape[-1]).contiguous()
    out = torch.empty(flat.shape[0], rows, dtype=x.dtype, device=x.device)
    if out.numel():
        with torch.cuda.device(x.device):
            _rows[(triton.cdiv(rows, _ROWS), flat.shape[0])](
                flat, packed.contiguous(), scale.contiguous(),
                scale if bias is None else bias.contiguous(), out, rows, flat.shape[1], pitch,
                per_row=scale.numel() > 1, has_bias=bias is not None, block_rows=_ROWS,
                block_bytes=_BYTES)
    return out.reshape(*x.shape[:-1], rows)

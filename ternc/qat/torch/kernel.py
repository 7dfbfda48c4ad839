"""A linear layer with packed ternary weights: kernels for CPU and CUDA, and plain torch."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

try:
    from ternc import _ternary_cpu
except ImportError:
    _COMPILED: ModuleType | None = None
else:
    _COMPILED = _ternary_cpu

_TRITON = find_spec("triton") is not None

# Above this many samples weights are unpacked and multiplied by torch's matrix product.
_FEW = 16
# Weights unpacked at a time then, so that no float copy of the whole layer ever exists.
_BLOCK = 1 << 20
# Weights for which a second thread is worth its start.
_SPLIT = 1 << 20


def compiled() -> ModuleType | None:
    """The compiled kernel, None where the extension was not built."""
    return _COMPILED


def _exporting() -> bool:
    return bool(torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export())


def unpack(packed: Tensor, scale: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Weights from rows of packed codes, in `scale`'s type."""
    columns = math.prod(shape[1:])
    if not _exporting() and _served(packed, scale) and scale.dtype == torch.float32:
        return torch.ops.ternc.unpack(packed, scale, columns).reshape(shape)
    # First weight in the most significant two bits; 01 is +1, 10 is -1.
    if _exporting():
        # in float, because the exporter writes bit operations on bytes with mixed types
        codes = packed.to(scale.dtype).unsqueeze(-1)
        places = torch.tensor([64.0, 16.0, 4.0, 1.0], dtype=scale.dtype, device=scale.device)
        pairs = (codes / places).floor()
        pairs = pairs - 4 * (pairs / 4).floor()
        signs = pairs - 3 * (pairs / 2).floor()
    else:
        pairs = torch.stack([packed >> 6, (packed >> 4) & 3, (packed >> 2) & 3, packed & 3], -1)
        signs = ((pairs & 1).to(torch.int8) - (pairs >> 1).to(torch.int8)).to(scale.dtype)
    rows = signs.flatten(1)[:, :columns]
    return (rows * scale.reshape(-1, 1)).reshape(shape)


def _served(*tensors: Tensor) -> bool:
    """Whether the compiled functions take these tensors."""
    return compiled() is not None and all(tensor.device.type == "cpu" for tensor in tensors)


@torch.library.custom_op("ternc::unpack", mutates_args=(), device_types="cpu")
def _unpack(packed: Tensor, scale: Tensor, columns: int) -> Tensor:
    kernel = compiled()
    assert kernel is not None
    out = torch.empty(packed.shape[0], columns, dtype=torch.float32)
    kernel.unpack(
        packed.contiguous().numpy(), scale.reshape(-1).contiguous().numpy(), out.numpy(), columns,
        0, packed.shape[0])
    return out


@_unpack.register_fake
def _(packed: Tensor, scale: Tensor, columns: int) -> Tensor:
    return scale.new_empty(packed.shape[0], columns)


@torch.library.custom_op("ternc::packed_linear", mutates_args=(), device_types="cpu")
def _packed_linear(
    x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None
) -> Tensor:
    kernel = compiled()
    assert kernel is not None
    rows = packed.shape[0]
    flat = x.detach().reshape(-1, x.shape[-1]).contiguous()
    out = torch.empty(flat.shape[0], rows, dtype=torch.float32)
    arguments = (
        packed.contiguous().numpy(), flat.numpy(), scale.reshape(-1).contiguous().numpy(),
        None if bias is None else bias.detach().contiguous().numpy(), out.numpy(), flat.shape[1])
    threads = torch.get_num_threads() if rows * flat.shape[1] >= _SPLIT else 1
    if threads == 1:
        kernel.linear(*arguments, 0, rows)
    else:
        edges = [rows * i // threads for i in range(threads + 1)]
        list(_pool(threads).map(
            lambda i: kernel.linear(*arguments, edges[i], edges[i + 1]), range(threads)))
    return out.reshape(*x.shape[:-1], rows)


@_packed_linear.register_kernel("cuda")
def _(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    from ternc.qat.torch import kernel_triton

    return kernel_triton.packed_linear(x, packed, scale, bias)


@_packed_linear.register_fake
def _(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[0])


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ternc")


def packed_linear(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """X · Wᵀ + bias, with W the packed codes times the scale.

    Args:
        x: any number of leading dimensions.
        packed: uint8, one row per output, four codes to a byte.
        scale: float32, one or one per output.
        bias: one per output, or None.
    """
    inputs = x.shape[-1]
    exporting = _exporting()
    samples = x.numel() // max(inputs, 1)
    served = samples <= _FEW and not (x.requires_grad and torch.is_grad_enabled())
    if x.device.type == "cuda":
        served = served and _TRITON and packed.device == x.device
    else:
        served = (
            served and _served(x, packed, scale) and x.dtype == scale.dtype == torch.float32)
    if served and not exporting:
        result: Tensor = torch.ops.ternc.packed_linear(x, packed, scale, bias)
        if torch.is_autocast_enabled(x.device.type):  # as of functional.linear below
            result = result.to(torch.get_autocast_dtype(x.device.type))
        return result
    rows = packed.shape[0]
    block = max(_BLOCK // max(inputs, 1), 1)
    if exporting or rows <= block:
        return functional.linear(x, unpack(packed, scale, (rows, inputs)).to(x.dtype), bias)
    parts = []
    for start in range(0, rows, block):
        cut = slice(start, start + block)
        some = scale if scale.numel() == 1 else scale[cut]
        weight = unpack(packed[cut], some, (packed[cut].shape[0], inputs))
        parts.append(functional.linear(x, weight.to(x.dtype), None if bias is None else bias[cut]))
    return torch.cat(parts, dim=-1)

"""A linear layer with packed ternary weights: kernels for CPU and CUDA, and plain torch.

`torch.compile` and tracers see two operators, `ternc::packed_linear` and `ternc::unpack`.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Final

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
_FEW = {"cpu": 16, "cuda": 2}
# Weights unpacked at a time then, so that no float copy of the whole layer ever exists; more where
# a launch costs as much as the work.
_BLOCK = {"cpu": 1 << 20, "cuda": 1 << 25}
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
    if not _exporting() and _served(packed, scale):
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
    """Whether a kernel takes these tensors: codes, and on a CPU float32."""
    device = tensors[0].device
    if any(tensor.device != device for tensor in tensors):
        return False
    if device.type == "cuda":
        return _TRITON
    return (compiled() is not None and device.type == "cpu"
            and all(tensor.dtype in (torch.uint8, torch.float32) for tensor in tensors))


def _unpack_cpu(packed: Tensor, scale: Tensor, columns: int) -> Tensor:
    kernel = compiled()
    assert kernel is not None
    out = torch.empty(packed.shape[0], columns, dtype=torch.float32)
    kernel.unpack(
        packed.contiguous().numpy(), scale.reshape(-1).contiguous().numpy(), out.numpy(), columns,
        0, packed.shape[0])
    return out


def _linear_cpu(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
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


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ternc")


@cache
def _on_cuda() -> ModuleType:
    from ternc.qat.torch import kernel_triton  # not before it is needed: Triton takes long

    return kernel_triton


# Not torch.library.custom_op, whose calls take twice as long: neither operator has a gradient.
_LIBRARY: Final = torch.library.Library("ternc", "FRAGMENT")
_LIBRARY.define("unpack(Tensor packed, Tensor scale, SymInt columns) -> Tensor")
_LIBRARY.define("packed_linear(Tensor x, Tensor packed, Tensor scale, Tensor? bias) -> Tensor")
_LIBRARY.impl("unpack", _unpack_cpu, "CPU")
_LIBRARY.impl("packed_linear", _linear_cpu, "CPU")
_LIBRARY.impl("unpack", lambda *args: _on_cuda().unpack(*args), "CUDA")
_LIBRARY.impl("packed_linear", lambda *args: _on_cuda().packed_linear(*args), "CUDA")


@torch.library.register_fake("ternc::unpack", lib=_LIBRARY)
def _(packed: Tensor, scale: Tensor, columns: int) -> Tensor:
    return scale.new_empty(packed.shape[0], columns)


@torch.library.register_fake("ternc::packed_linear", lib=_LIBRARY)
def _(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[0])


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
    served = (
        samples <= _FEW.get(x.device.type, 0) and _served(x, packed, scale)
        and not (x.requires_grad and torch.is_grad_enabled()))
    if served and not exporting:
        result: Tensor = torch.ops.ternc.packed_linear(x, packed, scale, bias)
        if torch.is_autocast_enabled(x.device.type):  # as of functional.linear below
            result = result.to(torch.get_autocast_dtype(x.device.type))
        return result
    rows = packed.shape[0]
    block = max(_BLOCK.get(x.device.type, _BLOCK["cpu"]) // max(inputs, 1), 1)
    if x.device.type == "cuda":
        scale = scale.to(x.dtype)  # the same weights, never as float32
    if exporting or rows <= block:
        return functional.linear(x, unpack(packed, scale, (rows, inputs)).to(x.dtype), bias)
    parts = []
    for start in range(0, rows, block):
        cut = slice(start, start + block)
        some = scale if scale.numel() == 1 else scale[cut]
        weight = unpack(packed[cut], some, (packed[cut].shape[0], inputs))
        parts.append(functional.linear(x, weight.to(x.dtype), None if bias is None else bias[cut]))
    return torch.cat(parts, dim=-1)

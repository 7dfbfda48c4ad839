"""Quantization of a layer's input to int8: by absmax at run time, or with a learned step."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from ternc.qat.torch.gradients import ScaledGradient, StraightThrough

ACTIVATIONS: Final = ("none", "int8_dynamic", "int8_static")
"""What `activations=` accepts; `dynamic` and `static` mean the int8 forms."""

_ALIASES: Final = {"dynamic": "int8_dynamic", "static": "int8_static"}
_LOW, _HIGH = -128, 127


class DynamicInt8(nn.Module):
    """round(clip(x · 127 / max|x|, -128, 127)) · max|x| / 127, as in BitNet b1.58.

    The maximum is over the last axis (a token), or over the sample where `sample` is set
    (convolutions). Gradients go straight through.
    """

    def __init__(self, eps: float = 1e-6, *, sample: bool = False) -> None:
        super().__init__()
        self.eps = eps
        self.sample = sample

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(1, x.dim())) if self.sample else (-1,)
        with torch.no_grad():
            factor = 127.0 / x.abs().amax(dim=axes, keepdim=True).clamp(min=self.eps)
            value = (x * factor).round().clamp(_LOW, _HIGH) / factor
        return _through(x, value)

    def extra_repr(self) -> str:
        return "per sample" if self.sample else "per token"


class StaticInt8(nn.Module):
    """round(clip(x / step, -128, 127)) · step with a learned step, as in LSQ (Esser et al. 2020).

    The first batch in training mode sets step = 2 · mean|x| / sqrt(127). Its gradient is scaled
    by 1 / sqrt(127 · values per sample).
    """

    def __init__(
        self, eps: float = 1e-6, *, device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        # 0 says that there was no batch yet: kept in the parameter so that checkpoints know it
        self.step = nn.Parameter(torch.zeros((), device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                first = (2.0 * x.abs().mean() / _HIGH**0.5).clamp(min=self.eps)
                # a replica of DataParallel has a view of the step, which autograd lets nobody
                # write to; that on the first device shares the memory of the layer's own
                step = self.step.data if getattr(self, "_is_replica", False) else self.step
                step.copy_(torch.where(step == 0, first.to(step.dtype), step))
            share = (x.shape[0] / (_HIGH * x.numel())) ** 0.5 if x.numel() else 1.0
            step = ScaledGradient.apply(self.step.clamp(min=self.eps), share)
        else:
            if not torch.compiler.is_compiling() and float(self.step.detach()) == 0:
                raise RuntimeError(
                    "the int8 step has not been set: run a batch in training mode first")
            step = self.step.clamp(min=self.eps) if self.step.requires_grad else self.step
        ratio = (x / step).clamp(_LOW, _HIGH)
        return _through(ratio, ratio.round()) * step


def _through(source: Tensor, value: Tensor) -> Tensor:
    if not source.requires_grad:
        return value
    through: Tensor = StraightThrough.apply(source, value.detach())
    return through


def quantizer(
    activations: str | None, eps: float, like: Tensor, *, sample: bool = False
) -> nn.Module | None:
    """The module for `activations`, None for "none".

    Raises:
        ValueError: It is none of `ACTIVATIONS`.
    """
    kind = _ALIASES.get(activations or "none", activations or "none")
    match kind:
        case "none":
            return None
        case "int8_dynamic":
            return DynamicInt8(eps, sample=sample)
        case "int8_static":
            return StaticInt8(eps, device=like.device, dtype=like.dtype)
        case _:
            raise ValueError(
                f"unknown activations {activations!r}: one of {', '.join(ACTIVATIONS)} expected")

"""Straight-through gradients: exact values forward, the papers' gradients backward.

Written as autograd functions because w + (q - w).detach() is q only up to rounding, and weights
must leave here exactly ternary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StraightThrough(torch.autograd.Function):
    """`value` forward; backward its gradient goes to `source` as it is."""

    generate_vmap_rule = True

    @staticmethod
    def forward(source: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ScaledCodes(torch.autograd.Function):
    """codes · level · step forward, with gradients for the weight and for a learned step.

    Without `limit`: dL/dw = g, dL/ds = level · Σ g·codes. With it, as in LSQ (Esser et al. 2020,
    equations 3 and 5) and ParetoQ: dL/dw = g where |w/s| < limit, else 0; dL/ds sums
    g · (level·codes - w/s) there and g · sign(w) elsewhere. The step's gradient is multiplied by
    1 / sqrt(weights per step), LSQ's g for Qp = 1.

    `step` is shaped to broadcast against the weight.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        weight: Tensor, step: Tensor, codes: Tensor, level: float, limit: float | None
    ) -> Tensor:
        # The scale in double and rounded once, as in ternc.quantize.
        scale = (step.double() if step.device.type != "mps" else step) * level
        return codes.to(weight.dtype) * scale.to(step.dtype).to(weight.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        weight, step, codes, ctx.level, ctx.limit = inputs
        ctx.save_for_backward(weight, step, codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, step, codes = ctx.saved_tensors
        to_weight, slope = gradient, codes.to(gradient.dtype) * ctx.level
        if ctx.limit is not None:
            ratio = weight / torch.where(step > 0, step, 1.0)
            inside = ratio.abs() < ctx.limit
            to_weight = gradient * inside
            slope = torch.where(inside, slope - ratio, ratio.sign())
        if not ctx.needs_input_grad[1]:
            return to_weight, None, None, None, None
        share = (step.numel() / weight.numel()) ** 0.5
        to_step = (gradient * slope).sum_to_size(step.shape) * share
        return to_weight, to_step.to(step.dtype), None, None, None


class ScaledGradient(torch.autograd.Function):
    """The value itself forward; backward the gradient times `factor`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, factor: float) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None

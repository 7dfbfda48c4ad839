"""The schemes of `ternc.quantize` on tensors: the same codes and scales, in the same precision.

Rows are (channels, weights of one channel), as there. `ternc.quantize.ternary` has the formulas
with their papers; here is what training needs beside them: the gradient that each paper defines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from ternc.quantize import SCHEMES


@dataclass(frozen=True, slots=True)
class Rule:
    """A scheme: codes and step of rows, and how gradients pass.

    The scale is `level` times the step; the step is what is learned. `at` gives the codes at a
    given step, None where they do not depend on it. Where `limit` is given, gradients reach only
    weights below `limit` steps, and the step's gradient is LSQ's; otherwise they reach all.
    """

    name: str
    start: Callable[[Tensor], tuple[Tensor, Tensor]]
    at: Callable[[Tensor, Tensor], Tensor] | None = None
    level: float = 1.0
    limit: float | None = None

    @property
    def per_channel(self) -> bool:
        """Whether each output channel has its own scale."""
        return SCHEMES[self.name].per_channel

    def rows(self, weight: Tensor) -> Tensor:
        """The weights as (channels, weights of one channel), detached, in double precision."""
        # the one device without float64 rounds ties a little differently
        wide = torch.float32 if weight.device.type == "mps" else torch.float64
        flat = weight.detach().to(wide)
        return flat.flatten(1) if self.per_channel else flat.reshape(1, -1)


def _ratio(rows: Tensor, step: Tensor) -> Tensor:
    return rows / torch.where(step > 0, step, 1.0).unsqueeze(1)


def _round_clip(rows: Tensor, step: Tensor) -> Tensor:
    return _ratio(rows, step).clamp(-1.0, 1.0).round()


def _bitnet(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = rows.abs().mean(dim=1)
    return _round_clip(rows, step), step


def _above(rows: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Signs of the weights kept, and the mean magnitude of these."""
    count = kept.sum(dim=1).clamp(min=1)
    return rows.sign() * kept, (rows.abs() * kept).sum(dim=1) / count


def _twn(rows: Tensor) -> tuple[Tensor, Tensor]:
    magnitude = rows.abs()
    return _above(rows, magnitude > 0.7 * magnitude.mean(dim=1, keepdim=True))


def _median(rows: Tensor) -> tuple[Tensor, Tensor]:
    # torch.median takes the lower of the two middle values; the scheme takes their mean
    magnitude, count = rows.abs(), rows.shape[1]
    ordered = magnitude.sort(dim=1).values
    middle = (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2
    return _above(rows, magnitude > middle.unsqueeze(1))


def _optimal(rows: Tensor) -> tuple[Tensor, Tensor]:
    magnitude, count = rows.abs(), rows.shape[1]
    descending = magnitude.sort(dim=1, descending=True).values
    counts = torch.arange(1, count + 1, device=rows.device, dtype=rows.dtype)
    gain = descending.cumsum(dim=1) ** 2 / counts
    # the first of equal maxima, which argmax does not promise
    first = torch.where(gain == gain.amax(dim=1, keepdim=True), counts, float(count)).amin(dim=1)
    smallest = descending.gather(1, first.long().unsqueeze(1) - 1)
    return _above(rows, (magnitude >= smallest) & (magnitude > 0))


def _lsq(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = 2.0 * rows.abs().mean(dim=1)
    return _round_clip(rows, step), step


def _stretched(rows: Tensor, step: Tensor) -> Tensor:
    return (_ratio(rows, step).clamp(-0.99, 0.99) * 1.5).round()


def _paretoq(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = rows.abs().amax(dim=1)
    return _stretched(rows, step), step


RULES: Final = MappingProxyType({
    rule.name: rule
    for rule in (
        Rule("bitnet", _bitnet),
        Rule("bitnet_channel", _bitnet),
        Rule("twn", _twn),
        Rule("median", _median),
        Rule("optimal", _optimal),
        Rule("lsq", _lsq, at=_round_clip, limit=1.0),
        Rule("paretoq", _paretoq, at=_stretched, level=2.0 / 3.0, limit=0.99),
    )
})
"""The rule of every scheme of `ternc.quantize.SCHEMES`."""


def rule_named(scheme: str) -> Rule:
    """The rule of a scheme.

    Raises:
        ValueError: There is no such scheme; the message names those that there are.
    """
    if scheme not in RULES:
        raise ValueError(f"unknown scheme {scheme!r}: one of {', '.join(RULES)} expected")
    return RULES[scheme]

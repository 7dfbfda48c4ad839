"""A schedule from float to ternary weights."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn

from ternc.qat.torch.layer import TernaryLayer


class Warmup:
    """Moves the weights used in training from float to ternary: (1 - a) · w + a · ternary(w).

    The share a grows from 0 to 1 over `steps` calls of `step`, after `delay` calls at 0. In eval
    mode weights are ternary from the beginning, so that accuracy measured is that of what would
    be deployed.

        warmup = Warmup(model, steps=2 * len(loader))
        for batch in loader:
            ...
            optimizer.step()
            warmup.step()
    """

    def __init__(
        self, model: nn.Module, steps: int, *, delay: int = 0,
        shape: Literal["linear", "cosine"] = "linear",
    ) -> None:
        """Starts at share 0.

        Raises:
            ValueError: The model has no ternary layer, or an argument is out of range.
        """
        if steps < 1 or delay < 0:
            raise ValueError(f"steps={steps} and delay={delay}: at least 1 and 0 expected")
        if shape not in ("linear", "cosine"):
            raise ValueError(f"shape={shape!r}: linear or cosine expected")
        self.layers = [m for m in model.modules() if isinstance(m, TernaryLayer)]
        if not self.layers:
            raise ValueError("the model has no ternary layer: call ternarize(model) first")
        self.steps, self.delay, self.shape = steps, delay, shape
        self.done = 0
        self._apply()

    @property
    def share(self) -> float:
        """The share of ternary weights now, from 0 to 1."""
        part = min(max(self.done - self.delay, 0) / self.steps, 1.0)
        return part if self.shape == "linear" else (1 - math.cos(math.pi * part)) / 2

    def step(self) -> float:
        """One step on, usually after `optimizer.step()`; returns the share."""
        self.done += 1
        self._apply()
        return self.share

    def _apply(self) -> None:
        share = self.share
        for layer in self.layers:
            if share >= 1.0:
                layer.blend = None
            elif layer.blend is None:
                device = getattr(layer, layer.ternary_names()[0]).device
                layer.blend = torch.tensor(share, dtype=torch.float32, device=device)
            else:
                # in place: a compiled model is not compiled again for every step
                layer.blend.fill_(share)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was."""
        self.done = int(state["done"])
        self._apply()

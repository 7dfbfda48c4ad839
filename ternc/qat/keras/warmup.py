"""A schedule from float to ternary kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import keras

from ternc.qat.keras.layer import TernaryLayer


class Warmup(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Moves the kernels used in training from float to ternary: (1 - a) · w + a · ternary(w).

    The share a grows from 0 to 1 over `steps` batches, after `delay` batches at 0; a second call
    of `fit` with the same callback goes on. Validation, `evaluate` and `predict` see ternary
    kernels from the beginning, so that accuracy measured is that of what would be deployed.

        model.fit(x, y, epochs=10, callbacks=[Warmup(steps=2 * batches_per_epoch)])
    """

    def __init__(
        self, steps: int, *, delay: int = 0, shape: Literal["linear", "cosine"] = "linear"
    ) -> None:
        """Starts at share 0.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        if steps < 1 or delay < 0:
            raise ValueError(f"steps={steps} and delay={delay}: at least 1 and 0 expected")
        if shape not in ("linear", "cosine"):
            raise ValueError(f"shape={shape!r}: linear or cosine expected")
        self.steps, self.delay, self.shape = steps, delay, shape
        self.done = 0
        self._before = 0
        self._layers: list[Any] = []

    @property
    def share(self) -> float:
        """The share of ternary kernels now, from 0 to 1."""
        part = min(max(self.done - self.delay, 0) / self.steps, 1.0)
        return part if self.shape == "linear" else (1 - math.cos(math.pi * part)) / 2

    def on_train_begin(self, logs: Any = None) -> None:
        """Sets the share that the schedule has reached.

        Raises:
            ValueError: The model has no ternary layer.
        """
        self._layers = list(ternary_layers(self.model))
        if not self._layers:
            raise ValueError("the model has no ternary layer: convert it first")
        self._apply()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before = self.done

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        moving = self.share < 1.0
        # counted from the epoch's begin, because several steps may be executed for one call
        self.done = self._before + batch + 1
        if moving:
            self._apply()

    def _apply(self) -> None:
        # On JAX, fit holds the variables' values itself, and asks for them back when synchronized.
        synchronize = getattr(self.model, "jax_state_sync", None)
        if synchronize is not None:
            synchronize()
        for layer in self._layers:
            layer.blend.assign(self.share)


def ternary_layers(model: Any) -> Iterator[TernaryLayer]:
    """All ternary layers of a model, those inside other layers too."""
    for layer in model._flatten_layers():
        if isinstance(layer, TernaryLayer):
            yield layer

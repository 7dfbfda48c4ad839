"""Trains digits_mlp.onnx: a ternary 784-64-64-10 perceptron on MNIST.

The exported weights are int8 codes, cast and multiplied by one scale per output channel.

    python -m tests.models.train_digits_mlp --data mnist.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.models.training import accuracy, export, fit, prepare

SEED = 1


class TernaryLinear(nn.Module):  # type: ignore[misc, unused-ignore]
    """A dense layer without bias whose weights are `s · {-1, 0, 1}`, one s per output."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight: nn.Parameter | None = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def _ternary(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale = weight.abs().mean(1, keepdim=True).clamp(min=1e-5)
        return (weight / scale).round().clamp(-1, 1), scale

    def freeze(self) -> None:
        """Replaces the trained weights by int8 codes and scales."""
        assert self.weight is not None
        codes, scale = self._ternary(self.weight.detach())
        self.register_buffer("codes", codes.to(torch.int8))
        self.register_buffer("scale", scale)
        self.weight = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is None:
            return nn.functional.linear(x, self.codes.to(torch.float32) * self.scale)
        codes, scale = self._ternary(self.weight)
        straight_through = self.weight + (codes * scale - self.weight).detach()
        return nn.functional.linear(x, straight_through)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True,
                        help="MNIST as Keras distributes it: mnist.npz")
    data = np.load(parser.parse_args().data)
    prepare(SEED)
    images = {part: torch.from_numpy(data[f"x_{part}"]).reshape(-1, 784) / 255
              for part in ("train", "test")}
    labels = {part: torch.from_numpy(data[f"y_{part}"]).long() for part in ("train", "test")}
    layers: list[nn.Module] = []
    for inputs, outputs in ((784, 64), (64, 64)):
        layers += [TernaryLinear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    model = nn.Sequential(*layers, TernaryLinear(64, 10), nn.BatchNorm1d(10))
    fit(model, images["train"], labels["train"], epochs=20)
    print(f"test accuracy {accuracy(model, images['test'], labels['test']):.4f}")
    for layer in model:
        if isinstance(layer, TernaryLinear):
            layer.freeze()
    print(f"frozen: {accuracy(model, images['test'], labels['test']):.4f}")
    export(model, images["test"][:2], "digits_mlp", inputs="image", outputs="scores",
           dynamic_batch=True)


if __name__ == "__main__":
    main()

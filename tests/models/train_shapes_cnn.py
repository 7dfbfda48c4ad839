"""Trains shapes_cnn.onnx and writes shapes.npz: a branched 2-D CNN on synthetic shapes.

The first layer is float, the others are ternary. The exporter optimizes nothing: ternarization
stays in the graph as operators on float weights, and batch normalizations stay nodes.

    python -m tests.models.train_shapes_cnn
"""

from __future__ import annotations

import torch
from torch import nn

from tests.models.synthetic import SHAPES, shapes
from tests.models.training import accuracy, export, fit, prepare, save_samples, ternary

SEED = 3


def _block(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(ternary(convolution), nn.BatchNorm2d(outputs))


class ShapesCnn(nn.Module):  # type: ignore[misc, unused-ignore]
    """A float stem, a residual block, two branches that are concatenated, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.residual = nn.Sequential(_block(12, 12, 3), nn.ReLU(), _block(12, 12, 3))
        self.pool = nn.MaxPool2d(2)
        self.narrow, self.wide = _block(12, 8, 1), _block(12, 16, 5)
        self.down = nn.Sequential(_block(24, 24, 3, stride=2), nn.ReLU(), nn.AvgPool2d(2))
        self.head = ternary(nn.Linear(24 * 4, len(SHAPES)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        x = self.pool(torch.relu(x + self.residual(x)))
        x = torch.relu(torch.cat((self.narrow(x), self.wide(x)), 1))
        scores: torch.Tensor = self.head(self.down(x).flatten(1))
        return scores


def main() -> None:
    prepare(SEED)
    images, labels = map(torch.from_numpy, shapes(8_000, seed=SEED))
    held_out = map(torch.from_numpy, shapes(4_000, seed=SEED + 1))
    model = ShapesCnn()
    fit(model, images, labels, epochs=10)
    print(f"held-out accuracy {accuracy(model, *held_out):.4f}")
    export(model, images[:1], "shapes_cnn", inputs="image", outputs="scores", optimize=False)
    samples, truth = shapes(64, seed=SEED + 2)
    save_samples("shapes", "image", samples, truth)


if __name__ == "__main__":
    main()

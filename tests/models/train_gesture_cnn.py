"""Trains gesture_cnn.onnx and writes gesture.npz: a ternary 1-D CNN on synthetic gestures.

The exporter folds weights and batch normalizations into float32 initializers: three levels to an
output channel, with the rounding noise of the straight-through estimator.

    python -m tests.models.train_gesture_cnn
"""

from __future__ import annotations

import torch
from torch import nn

from tests.models.synthetic import GESTURES, gestures
from tests.models.training import accuracy, export, fit, prepare, save_samples, ternary

SEED = 2


class GestureCnn(nn.Module):  # type: ignore[misc, unused-ignore]
    """A convolution, a depthwise-separable residual block, the mean over time, a dense layer."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ternary(nn.Conv1d(3, channels, 5, padding=2, bias=False)), nn.BatchNorm1d(channels),
            nn.ReLU(), nn.MaxPool1d(2))
        self.depthwise = nn.Sequential(
            ternary(nn.Conv1d(channels, channels, 5, padding=2, groups=channels, bias=False)),
            nn.BatchNorm1d(channels), nn.ReLU())
        self.pointwise = nn.Sequential(
            ternary(nn.Conv1d(channels, channels, 1, bias=False)), nn.BatchNorm1d(channels))
        self.head = ternary(nn.Linear(channels, len(GESTURES)))

    def forward(self, motion: torch.Tensor) -> torch.Tensor:
        x = self.stem(motion)
        x = torch.relu(x + self.pointwise(self.depthwise(x)))
        scores: torch.Tensor = self.head(x.mean(2))
        return scores


def main() -> None:
    prepare(SEED)
    motion, labels = map(torch.from_numpy, gestures(12_000, seed=SEED))
    held_out = map(torch.from_numpy, gestures(4_000, seed=SEED + 1))
    model = GestureCnn()
    fit(model, motion, labels, epochs=20)
    print(f"held-out accuracy {accuracy(model, *held_out):.4f}")
    export(model, motion[:1], "gesture_cnn", inputs="motion", outputs="scores")
    samples, truth = gestures(64, seed=SEED + 2)
    save_samples("gesture", "motion", samples, truth)


if __name__ == "__main__":
    main()

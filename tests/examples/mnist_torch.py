"""MNIST in PyTorch: one network float, as trained and ternarized afterwards, and trained ternary.

    python tests/examples/mnist_torch.py --data mnist.npz

The file holds x_train, y_train, x_test and y_test, as keras.datasets.mnist.load_data() keeps them.
The ternary network is compiled; its accuracy is that of the compiled program as well.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import ternc
from ternc.qat.torch import Warmup, ternarize

# Measured with the defaults (3 epochs, seed 0, torch 2.13.0, one thread of a x86-64 CPU, 80 s):
#   float 98.57 %, ternary 98.30 %; the float network ternarized after training 12.85 %
#   (nothing recalibrated); compiled program 98.0 % of the first 1,000 test images, as PyTorch;
#   flash 11,712 bytes, arena 18,816 bytes. One seed: no claim beyond this script.

# the first and the last layer have few weights and stay float
FLOAT_LAYERS = ("first", "last")


class Network(nn.Module):  # type: ignore[misc, unused-ignore]
    """Three convolutions, global pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.norm3 = nn.BatchNorm2d(64)
        self.last = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm1(self.first(x)))
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))
        return self.last(x.mean((2, 3)))


def fit(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, *, warm: bool) -> None:
    """Adam with a one-cycle schedule; with `warm`, ternary by and by in the first third."""
    steps = epochs * (len(x) // 128)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    warmup = Warmup(model, max(steps // 3, 1)) if warm else None
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x))[: len(x) // 128 * 128].split(128):
            loss = functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if warmup is not None:
                warmup.step()
    model.eval()


@torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of images whose largest score is at their label."""
    scores = torch.cat([model(part) for part in x.split(500)])
    return float((scores.argmax(1) == y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=60000, help="training images to use")
    parser.add_argument("--test-samples", type=int, default=10000, help="test images to use")
    parser.add_argument("--scheme", default="bitnet_channel")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the C header")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = np.load(arguments.data)
    x, xt = (
        torch.from_numpy(data[name][:count]).float().div(255).unsqueeze(1)
        for name, count in (("x_train", arguments.samples), ("x_test", arguments.test_samples)))
    y, yt = (torch.from_numpy(data[name]).long() for name in ("y_train", "y_test"))
    y, yt = y[: len(x)], yt[: len(xt)]

    trained = {}
    for name in ("float", "ternary"):
        torch.manual_seed(arguments.seed)
        model = Network()
        if name == "ternary":
            print(ternarize(model, arguments.scheme, skip=FLOAT_LAYERS))
        start = time.perf_counter()
        fit(model, x, y, arguments.epochs, warm=name == "ternary")
        trained[name] = model
        print(f"{name}: {accuracy(model, xt, yt):.2%} ({time.perf_counter() - start:.0f} s)")
    after = copy.deepcopy(trained["float"])
    ternarize(after, arguments.scheme, skip=FLOAT_LAYERS)
    print(f"float, ternarized after training: {accuracy(after, xt, yt):.2%}")

    compiled = ternc.compile(trained["ternary"], target="esp32", example_inputs=(xt[:1],))
    right = 0
    for image, label in zip(xt[:1000].numpy(), yt[:1000].tolist(), strict=True):
        (scores,) = compiled.run(image[None]).values()
        right += int(scores.argmax()) == label
    own = accuracy(trained["ternary"], xt[:1000], yt[:1000])
    report = compiled.report()
    print(f"first 1,000 test images: compiled {right / 1000:.1%}, PyTorch {own:.1%}")
    print(f"flash {report['flash_bytes']:,} bytes, arena {report['arena_bytes']:,} bytes")
    if arguments.out is not None:
        compiled.save(arguments.out)


if __name__ == "__main__":
    main()

"""The networks of the accuracy table: small enough for a microcontroller, in plain PyTorch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def _conv_norm_relu(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm1d(outputs),
        nn.ReLU())


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class Digits(nn.Module):  # type: ignore[misc, unused-ignore]
    """3x3 convolutions, two poolings and a linear layer for images of 28x28."""

    def __init__(self, width: float = 1.0, sizes: tuple[int, ...] = (16, 16, 32, 32, 64)) -> None:
        super().__init__()
        sizes = tuple(round(width * size) for size in sizes)
        self.first = nn.Conv2d(1, sizes[0], 3, padding=1, bias=False)
        self.norm = _norm_relu(sizes[0])
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), _norm_relu(outputs)]
            if index in (0, 2):
                layers.append(nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Linear(sizes[-1], 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.norm(self.first(x))).mean((2, 3)))


class _Residual(nn.Module):  # type: ignore[misc, unused-ignore]
    """Two 3x3 convolutions beside an identity, or beside a 1x1 convolution of stride 2.

    Normalization follows each convolution, or with `norm_first` precedes it.
    """

    def __init__(self, inputs: int, outputs: int, *, norm_first: bool = False) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.norm_first = norm_first
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inputs) if norm_first else _norm_relu(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride == 2 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.norm_first:
            y = functional.relu(self.conv1(self.norm1(x)))
            y = self.conv2(self.norm2(y))
        else:
            y = self.norm2(self.conv2(self.norm1(self.conv1(x))))
        return functional.relu(y + self.shortcut(x))


class ResNet8(nn.Module):  # type: ignore[misc, unused-ignore]
    """The image classifier of MLPerf Tiny: 78 thousand parameters at width 1.

    `depth` residual blocks at each of the three resolutions, one in ResNet8 itself.
    """

    def __init__(
        self, width: float = 1.0, *, sizes: tuple[int, int, int] = (16, 32, 64), depth: int = 1,
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        a, b, c = (round(width * size) for size in sizes)
        self.first = nn.Conv2d(3, a, 3, padding=1, bias=False)
        self.norm = _norm_relu(a)
        self.blocks = nn.Sequential(*(
            _Residual(outputs if index else inputs, outputs, norm_first=norm_first)
            for inputs, outputs in ((a, a), (a, b), (b, c)) for index in range(depth)))
        self.last = nn.Linear(c, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.norm(self.first(x))).mean((2, 3)))


class Keywords(nn.Module):  # type: ignore[misc, unused-ignore]
    """DS-CNN: a convolution over a spectrogram, four depthwise-separable ones, a linear layer."""

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        size = round(64 * width)
        self.first = nn.Conv2d(1, size, (10, 4), 2, (5, 1), bias=False)
        self.norm = _norm_relu(size)
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [
                nn.Conv2d(size, size, 3, padding=1, groups=size, bias=False), _norm_relu(size),
                nn.Conv2d(size, size, 1, bias=False), _norm_relu(size)]
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.norm(self.first(x))).mean((2, 3)))


class Series(nn.Module):  # type: ignore[misc, unused-ignore]
    """Three Conv1d layers and a linear layer, for time series of any number of channels.

    `more` layers of stride 2 after these see a longer while.
    """

    def __init__(
        self, width: float = 1.0, channels: int = 1, classes: int = 2, more: int = 0,
    ) -> None:
        super().__init__()
        a, b = round(24 * width), round(48 * width)
        self.first = nn.Conv1d(channels, a, 7, padding=3, bias=False)
        self.norm1 = nn.BatchNorm1d(a)
        self.conv2 = nn.Conv1d(a, b, 5, stride=2, padding=2, bias=False)
        self.norm2 = nn.BatchNorm1d(b)
        self.conv3 = nn.Conv1d(b, b, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm1d(b)
        self.more = nn.Sequential(*(_conv_norm_relu(b, b, 5, 2) for _ in range(more)))
        self.last = nn.Linear(b, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm1(self.first(x)))
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))
        return self.last(self.more(x).mean(2))


class SeparableSeries(nn.Module):  # type: ignore[misc, unused-ignore]
    """DS-CNN over time: a convolution, three depthwise-separable ones, a linear layer.

    The convolutions have stride 2 and `size` channels.
    """

    def __init__(
        self, width: float = 1.0, channels: int = 1, classes: int = 2, size: int = 16,
    ) -> None:
        super().__init__()
        size = round(size * width)
        self.first = nn.Conv1d(channels, size, 7, 2, 3, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm1d(size), nn.ReLU())
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [
                nn.Conv1d(size, size, 5, 2, 2, groups=size, bias=False), nn.BatchNorm1d(size),
                nn.ReLU(), nn.Conv1d(size, size, 1, bias=False), nn.BatchNorm1d(size), nn.ReLU()]
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.norm(self.first(x))).mean(2))


class Recurrent(nn.Module):  # type: ignore[misc, unused-ignore]
    """A GRU or an LSTM over time, the mean of its outputs, a linear layer.

    With `front` there are convolutions over time before it, each of (channels, size, stride).
    """

    def __init__(
        self, width: float = 1.0, *, kind: type[nn.GRU | nn.LSTM] = nn.GRU, inputs: int = 32,
        hidden: int = 64, classes: int = 10, front: tuple[tuple[int, int, int], ...] = (),
    ) -> None:
        super().__init__()
        size = round(hidden * width)
        layers: list[nn.Module] = []
        for channels, taps, stride in front:
            layers.append(_conv_norm_relu(inputs, round(channels * width), taps, stride))
            inputs = round(channels * width)
        self.front = nn.Sequential(*layers)
        self.cells = kind(inputs, size, batch_first=True)
        self.last = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.front(x)
        # spectrograms are (1, frames, bands), series are (channels, samples)
        x = x.squeeze(1) if x.dim() == 4 else x.transpose(1, 2)
        return self.last(self.cells(x)[0].mean(1))

"""PyTorch's resizing and masking compile as its exporter writes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ternc

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed (pip install 'ternc[torch]')")

nn, F = torch.nn, torch.nn.functional


class Calls(nn.Module):  # type: ignore[name-defined,misc]
    """A layer in front of a function, so that channels lie last."""

    def __init__(self, function: Callable[[Any], Any], layer: Any) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, x: Any) -> Any:
        return self.function(self.layer(x))


IMAGES: dict[str, Callable[[Any], Any]] = {
    "upsample nearest": nn.Upsample(scale_factor=2),
    "upsample bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "upsample bilinear corners": nn.Upsample(
        scale_factor=2, mode="bilinear", align_corners=True),
    "upsample bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "to a size, nearest": lambda x: F.interpolate(x, (7, 3)),
    "to a size, bilinear": lambda x: F.interpolate(x, (7, 3), mode="bilinear"),
    "by a fraction, nearest": lambda x: F.interpolate(x, scale_factor=1.5),
    "pixel shuffle": nn.PixelShuffle(2),
    "pixel unshuffle": nn.PixelUnshuffle(2),
    "roll": lambda x: torch.roll(x, (1, -2), (2, 3)),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tril": torch.tril,
    "masked fill": lambda x: x.masked_fill(x > 0.3, -1.0),
    "where": lambda x: torch.where(x < 0, x * 0.1, x),
    "flip": lambda x: torch.flip(x, (3,)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_of_an_image(name: str) -> None:
    torch.manual_seed(0)
    model = Calls(IMAGES[name], nn.Conv2d(2, 4, 3, padding=1)).eval()
    _check(model, torch.randn(1, 2, 6, 4))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_of_a_sequence(mode: str) -> None:
    torch.manual_seed(0)
    model = Calls(nn.Upsample(scale_factor=3, mode=mode), nn.Conv1d(2, 4, 3)).eval()
    _check(model, torch.randn(1, 2, 9))


def _check(model: Any, x: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = ternc.compile(model, "host", example_inputs=(x,))
    (given,) = compiled.run(x.numpy()).values()
    wanted = model(x).detach().numpy()
    assert given.shape == wanted.shape
    assert np.abs(given - wanted).max() <= 1e-5 * np.abs(wanted).max()

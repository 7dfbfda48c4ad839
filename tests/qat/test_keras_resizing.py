"""Keras's resizing layers compile as its exporter writes them, and answer as Keras does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.qat.keras_setup import keras, noise

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        f"Keras runs on {keras.backend.backend()}; the export tests need TensorFlow",
        allow_module_level=True)
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (pip install 'ternc[keras]')")

import ternc

layers = keras.layers
RESIZING: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "upsampling 1d": (lambda: layers.UpSampling1D(3), (5, 4)),
    "upsampling 2d": (lambda: layers.UpSampling2D((2, 3)), (4, 5, 3)),
    "upsampling 2d bilinear": (
        lambda: layers.UpSampling2D(2, interpolation="bilinear"), (4, 5, 3)),
    "resizing": (lambda: layers.Resizing(6, 7), (4, 5, 3)),
    "repeat vector": (lambda: layers.RepeatVector(3), (5,)),
}


@pytest.mark.parametrize("name", RESIZING)
def test_resizing(name: str) -> None:
    layer, shape = RESIZING[name]
    dense = layers.Dense(4)
    model = keras.Sequential([keras.Input(shape), dense, layer()])
    x = noise(1, *shape)
    wanted = model.predict(x, verbose=0)
    (given,) = ternc.compile(model, "host").run(x).values()
    assert given.shape == wanted.shape
    assert np.abs(given - wanted).max() <= 1e-5 * np.abs(wanted).max()

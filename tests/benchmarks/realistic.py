"""Calibration samples in the range that MLPerf Tiny's models see, from ../shared/data.

Their own data are not there: images of CIFAR-10, and spoken digits for keywords and for the sound
of machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.ternarize_table import SUBJECTS
from tests.shared_models import DATA

Array = npt.NDArray[Any]
_WINDOW, _HOP, _BANDS, _FRAMES, _RATE = 1024, 512, 128, 5, 8000
_LOUDEST, _FLOOR = 14.0, -79.0  # dB: the range of the input of MLPerf Tiny's own int8 model
_RECORDINGS = 80


def samples(model: str, count: int) -> Array:
    """`count` inputs, chosen the same way every time."""
    if model == "mlperf_tiny_ad01_fp32":
        return sounds(count)
    subject = next(s for s in SUBJECTS if s.name == model)
    return subject.data(count, 1).fit


def sounds(count: int) -> Array:
    """The autoencoder's features, [count, 640]: five frames of log-mel energies in dB.

    As its own preparation makes them (windows of 1024 samples, every 512, 128 bands), of spoken
    digits one after the other, at the level that puts the loudest band at the range's end.
    """
    generator = np.random.default_rng(0)
    with np.load(DATA / "fsdd" / "fsdd.npz") as data:
        audio, ends = data["audio"], data["offset"]
    chosen = generator.permutation(len(ends) - 1)[:_RECORDINGS]
    parts = [audio[ends[i] : ends[i + 1]] for i in chosen]
    signal = np.concatenate(parts).astype(np.float64) / 32768
    windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1)) ** 2
    energies = 10 * np.log10(power @ _mel_bank() + np.finfo(np.float64).eps)
    energies = np.maximum(energies - energies.max() + _LOUDEST, _FLOOR)
    frames = np.lib.stride_tricks.sliding_window_view(energies, _FRAMES, axis=0)
    vectors = frames.transpose(0, 2, 1).reshape(len(frames), -1)
    picked: Array = vectors[generator.permutation(len(vectors))[:count]].astype(np.float32)
    return picked


def _mel_bank() -> Array:
    """Triangles from 0 to half the rate, evenly spaced in mel: [bins, bands]."""
    highest = 2595 * np.log10(1 + _RATE / 2 / 700)
    mels = np.linspace(0, highest, _BANDS + 2)
    centres = 700 * (10 ** (mels / 2595) - 1) / _RATE * _WINDOW
    bins = np.arange(_WINDOW // 2 + 1)[:, None]
    left, mid, right = centres[:-2], centres[1:-1], centres[2:]
    rising, falling = (bins - left) / (mid - left), (right - bins) / (right - mid)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))

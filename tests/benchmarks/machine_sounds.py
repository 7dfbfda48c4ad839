"""What MLPerf Tiny's autoencoder listens to: log-mel energies in dB, here of spoken digits.

Recordings of machines are not in ../shared/data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.shared_models import DATA

Array = npt.NDArray[Any]
_WINDOW, _HOP, _BANDS, _FRAMES, _RATE = 1024, 512, 128, 5, 8000
_LOUDEST, _FLOOR = 14.0, -79.0  # dB: the range of the input of MLPerf Tiny's own int8 model


def sounds(count: int, recordings: int = 80) -> Array:
    """`count` of the autoencoder's features, [count, 640]: five frames of 128 bands in dB.

    As its own preparation makes them (windows of 1024 samples, every 512), of `recordings` spoken
    digits one after the other, at the level that puts the loudest band at the range's end. They
    are evenly spaced in time, so that parts of the result are of different recordings.

    Raises:
        ValueError: there are fewer of them.
    """
    with np.load(DATA / "fsdd" / "fsdd.npz") as data:
        audio, ends = data["audio"], data["offset"]
    chosen = np.random.default_rng(0).permutation(len(ends) - 1)[:recordings]
    parts = [audio[ends[i] : ends[i + 1]] for i in chosen]
    signal = np.concatenate(parts).astype(np.float64) / 32768
    windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    bank, hann = _mel_bank(), np.hanning(_WINDOW)
    power = [np.abs(np.fft.rfft(window * hann)) ** 2 @ bank for window in windows]
    energies = 10 * np.log10(np.stack(power) + np.finfo(np.float64).eps)
    energies = np.maximum(energies - energies.max() + _LOUDEST, _FLOOR)
    frames = np.lib.stride_tricks.sliding_window_view(energies, _FRAMES, axis=0)
    if len(frames) < count:
        raise ValueError(f"{recordings} recordings have {len(frames)} features, not {count}")
    taken = frames[np.linspace(0, len(frames) - 1, count).astype(np.int64)]
    picked: Array = taken.transpose(0, 2, 1).reshape(count, -1).astype(np.float32)
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

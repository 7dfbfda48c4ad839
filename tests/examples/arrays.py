"""The data of the accuracy table, normalised, with the splits that the table names.

Channels come before time and before rows and columns, as PyTorch has them.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Samples and classes to train on, and those to test on once.

    `group` says which recording each training sample was cut from; None: each is one of its own.
    """

    x: Floats
    y: npt.NDArray[np.int64]
    x_test: Floats
    y_test: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64] | None = None


def find(folder: Path, name: str) -> Path:
    """The file in `folder` or in one of its folders.

    Raises:
        FileNotFoundError: It is in none; README.md says how to get it.
    """
    for path in (folder / name, *sorted(folder.glob(f"*/{name}"))):
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not in {folder}: tests/examples/README.md has its source")


def _split(x: Any, y: Any, x_test: Any, y_test: Any) -> Arrays:
    samples = [np.ascontiguousarray(a, dtype=np.float32) for a in (x, x_test)]
    classes = [np.asarray(a).astype(np.int64) for a in (y, y_test)]
    return Arrays(samples[0], classes[0], samples[1], classes[1])


def mnist(folder: Path) -> Arrays:
    """The official split; pixels from 0 to 1."""
    data = np.load(find(folder, "mnist.npz"))
    x, x_test = (data[f"x_{part}"][:, None].astype(np.float32) / 255 for part in ("train", "test"))
    return _split(x, data["y_train"], x_test, data["y_test"])


def cifar10(folder: Path) -> Arrays:
    """CIFAR-10 from JPEG files (lossy: figures are not those of the original), official split."""
    from PIL import Image

    data = np.load(find(folder, "cifar10_jpeg.npz"))
    parts = []
    for part in ("train", "test"):
        stored, offset = data[f"jpeg_{part}"], data[f"offset_{part}"].tolist()

        def image(index: int, stored: Any = stored, offset: list[int] = offset) -> Any:
            file = io.BytesIO(stored[offset[index]:offset[index + 1]].tobytes())
            return np.asarray(Image.open(file).convert("RGB"))

        with ThreadPoolExecutor() as pool:
            images = np.stack(list(pool.map(image, range(len(offset) - 1))))
        parts.append((images.transpose(0, 3, 1, 2).astype(np.float32) - 120) / 64)
    return _split(parts[0], data["y_train"], parts[1], data["y_test"])


def log_mel(audio: npt.NDArray[np.int16]) -> Floats:
    """49 frames of 32 log mel bands of one second at 8 kHz, cut or padded with silence."""
    second = np.zeros(8000, np.float32)
    part = audio[:8000].astype(np.float32) / 32768
    second[:len(part)] = part
    frames = np.lib.stride_tricks.sliding_window_view(second, 256)[::158][:49]
    power = np.abs(np.fft.rfft(frames * np.hanning(256), axis=1)) ** 2
    mel = np.linspace(_mel(60.0), _mel(3900.0), 34)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(256, 1 / 8000)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(np.log(power @ filters.T + 1e-6), np.float32)


def _mel(frequency: float) -> float:
    return float(2595 * np.log10(1 + frequency / 700))


def fsdd(folder: Path, *, speaker: int | None = None) -> Arrays:
    """Spoken digits as spectrograms of mean 0: the official split, or one speaker held out."""
    data = np.load(find(folder, "fsdd.npz"))
    audio, offset = data["audio"], data["offset"].tolist()
    x = np.stack([log_mel(audio[a:b]) for a, b in pairwise(offset)])
    x = (x - x.mean((1, 2), keepdims=True))[:, None] / 4
    test = data["is_test"] == 1 if speaker is None else data["speaker"] == speaker
    return _split(x[~test], data["y"][~test], x[test], data["y"][test])


def exercises(folder: Path, *, part: int = 0) -> Arrays:
    """Windows of 2.56 s of a wrist's acceleration; every fourth recording of a class tests.

    `part` says which fourth: the four parts together test every recording once.
    """
    data = np.load(find(folder, "exercises.npz"))
    offset, y = data["offset"].tolist(), data["y"]
    place = np.zeros(len(y), int)
    for label in np.unique(y):
        chosen = np.flatnonzero(y == label)
        place[chosen[np.random.default_rng(0).permutation(len(chosen))]] = np.arange(len(chosen))
    parts: dict[bool, list[tuple[Any, int]]] = {False: [], True: []}
    group: list[int] = []
    for index, (a, b) in enumerate(pairwise(offset)):
        signal = data["signal"][a:b].astype(np.float32).T / 8192
        for start in range(0, signal.shape[1] - 255, 64):
            window = signal[:, start:start + 256:2]
            test = bool(place[index] % 4 == part)
            parts[test].append((window, int(y[index])))
            if not test:
                group.append(index)
    (x, labels), (x_test, labels_test) = (
        (np.stack([w for w, _ in parts[test]]), [c for _, c in parts[test]])
        for test in (False, True))
    return replace(_split(x, labels, x_test, labels_test), group=np.array(group))


def series(folder: Path, name: str) -> Arrays:
    """A set of the UCR archive, official split, scaled to unit deviation per channel."""
    data = np.load(find(folder, f"{name}.npz"))
    x, x_test = (
        a[:, None] if a.ndim == 2 else a for a in (data["x_train"], data["x_test"]))
    mean, deviation = x.mean((0, 2), keepdims=True), x.std((0, 2), keepdims=True)
    return _split(
        (x - mean) / deviation, data["y_train"], (x_test - mean) / deviation, data["y_test"])

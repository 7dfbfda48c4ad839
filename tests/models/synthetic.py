"""The synthetic data of the small models: accelerometer gestures and images of shapes.

Needs numpy alone, so that the tests draw fresh samples without the training framework.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

GESTURES = ("idle", "tap", "shake", "circle")
SHAPES = ("disc", "square", "triangle", "cross")
_RATE = 50.0  # samples per second of the accelerometer
_LENGTH = 64
_SIZE = 16


def gestures(count: int, seed: int) -> tuple[Floats, Labels]:
    """`count` recordings (count, 3 axes, 64 samples) in g at 50 Hz, and their labels.

    Gravity points anywhere, gestures start anywhere, and speed and strength vary by a factor of
    two. Values lie on the grid of a 12-bit sensor with a range of ±8 g.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(GESTURES), count)
    recordings = np.stack([_gesture(GESTURES[label], rng) for label in labels])
    return (np.clip(np.rint(recordings * 256), -2048, 2047) / 256).astype(np.float32), labels


def _gesture(kind: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time = np.arange(_LENGTH) / _RATE
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]  # random orientation of the device
    strength, phase = rng.uniform(0.6, 1.5), rng.uniform(0, 2 * np.pi)
    motion = np.zeros((3, _LENGTH))
    if kind == "tap":
        since = time - rng.uniform(0.15, 0.9)
        ringing = np.cos(2 * np.pi * rng.uniform(12, 20) * since)
        motion[0] = 2 * strength * ringing * np.exp(-since / 0.06) * (since >= 0)
    elif kind == "shake":
        motion[0] = strength * np.sin(2 * np.pi * rng.uniform(3.5, 7) * time + phase)
    elif kind == "circle":
        angle = rng.choice((-1, 1)) * 2 * np.pi * rng.uniform(0.8, 1.6) * time + phase
        motion[0], motion[1] = strength * np.cos(angle), strength * np.sin(angle)
    drift = 0.1 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * time + rng.uniform(0, 2 * np.pi))
    gravity = axes[:, 2:] * (1 + drift)
    noise = rng.normal(0, rng.uniform(0.01, 0.04), (3, _LENGTH))
    return np.asarray(axes @ motion + gravity + noise)


def shapes(count: int, seed: int) -> tuple[Floats, Labels]:
    """`count` grey images (count, 1, 16, 16) in [0, 1] of 64 levels, and their labels.

    Shapes vary in place, size and contrast; squares, triangles and crosses are turned by up to 15
    degrees; one image in two is dark on bright.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(SHAPES), count)
    images = np.stack([_shape(SHAPES[label], rng) for label in labels])[:, np.newaxis]
    return (np.rint(np.clip(images, 0, 1) * 63) / 63).astype(np.float32), labels


def _shape(kind: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    radius = rng.uniform(3.5, 6.0)
    centre = rng.uniform(radius + 0.5, _SIZE - radius - 0.5, 2)
    turn = np.deg2rad(rng.uniform(-15, 15))
    fine = (np.arange(_SIZE * 3) + 0.5) / 3  # three by three points a pixel smooth the edges
    rows, columns = np.meshgrid(fine - centre[0], fine - centre[1], indexing="ij")
    y = (np.cos(turn) * rows + np.sin(turn) * columns) / radius
    x = (np.cos(turn) * columns - np.sin(turn) * rows) / radius
    if kind == "disc":
        inside = np.hypot(x, y) < 0.95
    elif kind == "square":
        inside = np.maximum(abs(x), abs(y)) < 0.85
    elif kind == "triangle":
        inside = (y < 0.8) & (2 * abs(x) < (y + 0.95))
    else:
        inside = (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1)
    image = inside.reshape(_SIZE, 3, _SIZE, 3).mean((1, 3))
    low, high = rng.uniform(0.0, 0.3), rng.uniform(0.6, 1.0)
    if rng.random() < 0.5:
        low, high = high, low
    return np.asarray(low + (high - low) * image + rng.normal(0, 0.08, image.shape))

"""Augmentation of a whole epoch at once, on the device that holds the data."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional


def _uniform(shape: tuple[int, ...], reach: float, generator: Generator) -> Tensor:
    """Numbers from -reach to reach."""
    sample = torch.rand(shape, generator=generator, device=generator.device)
    return (sample * 2 - 1) * reach


def none(x: Tensor, generator: Generator) -> Tensor:
    """The data as it is."""
    return x


def crop_and_flip(x: Tensor, generator: Generator, reach: int = 4) -> Tensor:
    """Shifts by up to `reach` pixels in both directions, and mirrors half of the images."""
    count, channels, height, width = x.shape
    device = x.device
    padded = functional.pad(x, [reach] * 4, mode="reflect")
    top, left = torch.randint(
        0, 2 * reach + 1, (2, count), generator=generator, device=device).unbind()
    mirrored = torch.rand(count, generator=generator, device=device) < 0.5
    rows = top[:, None] + torch.arange(height, device=device)
    along = torch.arange(width, device=device)
    columns = left[:, None] + torch.where(mirrored[:, None], along.flip(0), along)
    return padded[
        torch.arange(count, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[:, None, None],
        rows[:, None, :, None], columns[:, None, None, :]]


def _bicubic(count: int, size: int, device: torch.device) -> Tensor:
    """Weights (size, count) of a bicubic interpolation along one axis.

    Products with them are much faster than interpolating a batch of small images on a GPU.
    """
    one = torch.eye(count, device=device)[:, None, :, None]
    return functional.interpolate(
        one, size=(size, 1), mode="bicubic", align_corners=True)[:, 0, :, 0].T


def affine_and_elastic(
    x: Tensor, generator: Generator, *, degrees: float = 10.0, scale: float = 0.1,
    shear: float = 0.1, shift: float = 2.0, elastic: float = 1.5,
) -> Tensor:
    """Small rotations, scalings, shears and shifts, and a smooth random displacement (pixels)."""
    count, _, height, width = x.shape
    angle = _uniform((count,), math.radians(degrees), generator)
    size = 1 + _uniform((2, count), scale, generator)
    slant = _uniform((count,), shear, generator)
    move = _uniform((2, count), 2 * shift / width, generator)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([
        torch.stack([size[0] * cos, slant - sin, move[0]], 1),
        torch.stack([sin, size[1] * cos, move[1]], 1)], 1)
    grid = functional.affine_grid(matrix, [count, 1, height, width], align_corners=False)
    coarse = _uniform((count, 2, 5, 5), 2 * elastic / width, generator)
    down, across = (_bicubic(5, size, x.device) for size in (height, width))
    field = down @ coarse @ across.T
    return functional.grid_sample(
        x, grid + field.permute(0, 2, 3, 1), align_corners=False, padding_mode="border")


def shift_and_mask(x: Tensor, generator: Generator, *, reach: int = 6) -> Tensor:
    """Spectrograms: shifted in time, louder or softer, a band and a while set to their mean."""
    count, _, frames, bands = x.shape
    device = x.device
    move = torch.randint(-reach, reach + 1, (count, 1), generator=generator, device=device)
    index = (torch.arange(frames, device=device) + move).clamp(0, frames - 1)
    x = x.gather(2, index[:, None, :, None].expand_as(x))
    x = x + _uniform((count, 1, 1, 1), 0.5, generator)
    for axis, size, longest in ((2, frames, 8), (3, bands, 6)):
        start = torch.rand((count, 1), generator=generator, device=device) * size
        length = torch.rand((count, 1), generator=generator, device=device) * longest
        place = torch.arange(size, device=device)
        hidden = (place >= start) & (place < start + length)
        x = x.masked_fill(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :], 0.0)
    return x


def jitter(x: Tensor, generator: Generator, *, noise: float = 0.05, reach: int = 4) -> Tensor:
    """Time series: shifted, scaled a little, with noise."""
    count, _, length = x.shape
    move = torch.randint(-reach, reach + 1, (count, 1), generator=generator, device=x.device)
    index = (torch.arange(length, device=x.device) + move).clamp(0, length - 1)
    x = x.gather(2, index[:, None, :].expand_as(x))
    x = x * (1 + _uniform((count, 1, 1), 0.1, generator))
    return x + noise * torch.randn(x.shape, generator=generator, device=x.device)


def distort(
    x: Tensor, generator: Generator, *, shift: float = 8.0, warp: float = 3.0,
    scale: float = 0.1, noise: float = 0.05, wander: float = 0.0, rotate: float = 0.0,
) -> Tensor:
    """Time series: shifted, stretched here and compressed there, louder or softer, with noise.

    `shift` and `warp` are in samples; `wander` moves each channel slowly up and down, as the
    baseline of an electrocardiogram does; `rotate` (radians, for channels that are the axes of an
    accelerometer) turns the sensor about a random axis.
    """
    count, channels, length = x.shape
    time = torch.arange(length, device=x.device) + _uniform((count, 1), shift, generator)
    time = (time + _smooth(count, 6, length, warp, generator)).clamp(0, length - 1)
    before = time.floor().long().clamp(max=length - 2)
    share = (time - before)[:, None]
    index = before[:, None].expand(count, channels, length)
    x = x.gather(2, index) * (1 - share) + x.gather(2, index + 1) * share
    if rotate:
        turn = _uniform((count, channels, channels), rotate, generator)
        x = torch.linalg.matrix_exp(turn - turn.transpose(1, 2)) @ x
    x = x * (1 + _uniform((count, 1, 1), scale, generator))
    if wander:
        x = x + _smooth(count * channels, 5, length, wander, generator).view_as(x)
    return x + noise * torch.randn(x.shape, generator=generator, device=x.device)


def _smooth(count: int, points: int, length: int, reach: float, generator: Generator) -> Tensor:
    """Curves (count, length) through random values from -reach to reach."""
    values = _uniform((count, points), reach, generator)
    return values @ _bicubic(points, length, values.device).T

"""How far the answers of a program are from the oracle's, over many samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


@dataclass(slots=True)
class Comparison:
    """Sums over all samples of one tensor; integers are compared as steps and as reals.

    `scale` and `zero_point` make reals of quantized integers. `worst` counts steps for integers,
    and is relative to a sample's largest value for floats; `absolute` is in real units; `wrong`
    of `count` elements differ at all (integers), or by more than 1e-5 (floats).
    """

    scale: float = 1.0
    zero_point: int = 0
    count: int = 0
    wrong: int = 0
    worst: float = 0.0
    absolute: float = 0.0
    integer: bool = False
    _signal: float = 0.0
    _noise: float = 0.0
    _product: float = 0.0
    _found: float = 0.0

    def add(self, found: Array, wanted: Array) -> None:
        """Takes one sample in; both arrays have one shape."""
        far, wrong = difference(found, wanted)
        self.worst, self.wrong = max(self.worst, far), self.wrong + wrong
        self.count += wanted.size
        self.integer = wanted.dtype.kind != "f"
        a, b = self._real(found), self._real(wanted)
        both = np.isfinite(a) & np.isfinite(b)
        error = np.abs(a - b, where=both, out=np.zeros(a.shape))
        self.absolute = max(self.absolute, float(error.max(initial=0.0)))
        a, b = a[both], b[both]
        self._noise += float(((a - b) ** 2).sum())
        self._signal += float((b**2).sum())
        self._product += float((a * b).sum())
        self._found += float((a**2).sum())

    def _real(self, array: Array) -> npt.NDArray[np.float64]:
        real = array.astype(np.float64)
        return (real - self.zero_point) * self.scale if array.dtype.kind in "iu" else real

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise: 10 log10(sum wanted^2 / sum (found - wanted)^2), in dB."""
        return decibels(self._signal, self._noise)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between both; 1 where both are zero."""
        norms = math.sqrt(self._found) * math.sqrt(self._signal)
        if norms:
            return self._product / norms
        return 1.0 if self._found == self._signal else 0.0


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise), infinite without noise."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def sqnr_db(found: Array, wanted: Array) -> float:
    """Signal to quantization noise: 10 log10(sum wanted^2 / sum (found - wanted)^2), in dB."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    return decibels(float((b**2).sum()), float(((a - b) ** 2).sum()))


def difference(found: Array, wanted: Array) -> tuple[float, int]:
    """(how far, how many elements) two arrays differ: integers by steps, floats relatively."""
    if wanted.dtype.kind == "f":
        a, b = found.astype(np.float64), wanted.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities too
        with np.errstate(invalid="ignore"):
            far = np.where(same, 0.0, np.abs(a - b))
        finite = np.abs(b[np.isfinite(b)])
        relative = far / max(float(finite.max()) if finite.size else 0.0, 1e-6)
        relative = np.nan_to_num(relative, nan=np.inf, posinf=np.inf)
        return float(relative.max(initial=0.0)), int((relative > 1e-5).sum())
    steps = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
    return float(steps.max(initial=0)), int((steps > 0).sum())

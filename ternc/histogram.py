"""A histogram that grows with its data, and the clipping ranges that are found in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

_BINS: Final = 8192  # at most; between half of this and this are in use
_STEPS: Final = 128  # clipping candidates for each end of a range

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Histogram:
    """Counts in bins [i * width, (i+1) * width), i from `first`; width is a power of two.

    The width is the smallest under which `_BINS` bins hold all values; it only grows, by merging
    bins in pairs, so counts never need to be split.
    """

    exponent: int = -1074  # width = 2^exponent
    first: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    zeros: int = 0  # exact zeros among the counts of bin 0: they have no quantization error

    def add(self, values: Floats) -> None:
        """Counts finite `values`."""
        low, high = float(values.min()), float(values.max())
        if self.counts.size:
            low, high = min(low, self.edges[0]), max(high, self.edges[-2])
        self._widen(low, high)
        bins = np.floor(np.ldexp(values, -self.exponent)).astype(np.int64)
        first, last = int(bins.min()), int(bins.max())
        if self.counts.size:
            first = min(first, self.first)
            last = max(last, self.first + self.counts.size - 1)
        counts = np.bincount(bins - first, minlength=last - first + 1).astype(np.int64)
        start = self.first - first
        counts[start : start + self.counts.size] += self.counts
        self.first, self.counts = first, counts
        self.zeros += int(np.count_nonzero(values == 0))

    def _widen(self, low: float, high: float) -> None:
        def index(value: float) -> int:
            return int(np.floor(np.ldexp(value, -self.exponent)))

        # No exponent below this can do, so that the search is short.
        span = max(abs(low), abs(high), 1e-300)
        start = max(self.exponent, int(np.frexp(span)[1]) - 15)
        self._rebin(start)
        while index(high) - index(low) >= _BINS:
            self._rebin(self.exponent + 1)

    def _rebin(self, exponent: int) -> None:
        factor = exponent - self.exponent
        self.exponent = exponent
        if not factor or not self.counts.size:
            return
        bins = (np.arange(self.counts.size) + self.first) >> min(factor, 62)
        self.first = int(bins[0])
        self.counts = np.bincount(bins - self.first, weights=self.counts).astype(np.int64)

    @property
    def edges(self) -> Floats:
        """The bins' borders, one more than there are bins."""
        indices = np.arange(self.counts.size + 1, dtype=np.float64) + self.first
        return np.ldexp(indices, self.exponent)

    @property
    def centres(self) -> Floats:
        """The middle of each bin."""
        edges = self.edges
        return (edges[:-1] + edges[1:]) / 2


def percentile_range(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The range left after cutting (100 - percentile) / 2 per cent of the values off each end."""
    if not 0 < percentile <= 100:
        raise ValueError(f"the percentile {percentile} is not between 0 and 100")
    cut = (100.0 - percentile) / 200.0
    below = np.concatenate([[0.0], np.cumsum(histogram.counts) / histogram.counts.sum()])
    low = max(int(np.searchsorted(below, cut, side="right")) - 1, 0)
    high = min(int(np.searchsorted(below, 1.0 - cut, side="left")), below.size - 1)
    return float(histogram.edges[low]), float(histogram.edges[high])


def _candidates(histogram: Histogram) -> tuple[Floats, Floats]:
    """Lower and upper ends to try, widest first; 0 is always inside."""
    edges = histogram.edges
    fractions = np.arange(_STEPS, 0, -1) / _STEPS
    return min(edges[0], 0.0) * fractions, max(edges[-1], 0.0) * fractions


def mse_range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """The range [low, high] with 0 in it whose quantization has the least squared error.

    Each end in turn is moved to its best place until neither moves.
    """
    values, counts = histogram.centres, histogram.counts.astype(np.float64)
    if histogram.first <= 0 < histogram.first + counts.size:
        counts[-histogram.first] -= histogram.zeros
    lows, highs = _candidates(histogram)
    levels = (1 << bits) - 1

    def loss(low: float, high: float) -> float:
        step = (high - low) / levels
        if step <= 0:
            return np.inf
        zero = np.rint(-low / step)
        codes = np.clip(np.rint(values / step) + zero, 0, levels)
        return float(counts @ ((codes - zero) * step - values) ** 2)

    low, high = float(lows[0]), float(highs[0])
    for _ in range(4):
        before = (low, high)
        low = float(lows[np.argmin([loss(end, high) for end in lows])]) if lows[0] else 0.0
        high = float(highs[np.argmin([loss(low, end) for end in highs])]) if highs[0] else 0.0
        if (low, high) == before:
            break
    return low, high


def entropy_range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """The range whose quantization diverges least from the observed distribution.

    For each candidate, both ends scaled alike: P are the counts with what is clipped added to the
    ends, Q the counts inside, summed to 2^bits levels and spread again over the bins that P uses;
    the candidate with the least KL(P || Q) wins. Exact zeros, which every candidate represents,
    are left out.
    """
    counts = histogram.counts.astype(np.float64)
    if histogram.first <= 0 < histogram.first + counts.size:
        counts[-histogram.first] -= histogram.zeros
    if not counts.any():
        return 0.0, 0.0
    centres, levels = histogram.centres, 1 << bits
    best, chosen = np.inf, (float(histogram.edges[0]), float(histogram.edges[-1]))
    for low, high in zip(*_candidates(histogram), strict=True):
        inside = (centres >= low) & (centres <= high)
        if np.count_nonzero(inside) < levels:
            break
        kept = counts[inside]
        if not kept.any():
            break
        reference = kept.copy()
        reference[0] += counts[centres < low].sum()
        reference[-1] += counts[centres > high].sum()
        level = np.minimum((np.arange(kept.size) * levels) // kept.size, levels - 1)
        used = reference > 0
        share = np.bincount(level, weights=used, minlength=levels)
        spread = np.bincount(level, weights=kept, minlength=levels) / np.maximum(share, 1)
        divergence = _divergence(reference, np.where(used, spread[level], 0.0))
        if divergence < best:
            best, chosen = divergence, (float(low), float(high))
    return chosen


def _divergence(reference: Floats, approximation: Floats) -> float:
    """KL(P || Q) in nats; a little mass goes to each bin of Q that P uses and Q does not."""
    used = reference > 0
    p = reference[used] / reference.sum()
    q = np.maximum(approximation[used], 1e-4 * max(approximation.max(), 1e-300))
    return float(np.sum(p * np.log(p / (q / q.sum()))))

"""How good a model's answers are: accuracy, SQNR, and what one model loses against another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Measure = Literal["accuracy", "sqnr"]
SURE: Final = 1.645  # standard errors that a drop is added so that 95 % of new samples agree
_DECIBELS: Final = 10 / np.log(10)
_SOFTNESS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Drop:
    """What is lost, in points of accuracy or dB, with its standard error over the samples."""

    value: float
    error: float
    samples: int

    @property
    def bound(self) -> float:
        """What the drop is below, with 95 % confidence."""
        return self.value + SURE * self.error


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each sample: the energy of the output's error, and whether the answer is right.

    `signal` is the energy of the float model's output. `right` and `margin`, by how much the
    output of the right answer is above the next, are None without labels.
    """

    noise: npt.NDArray[np.float64]
    signal: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_] | None
    margin: npt.NDArray[np.float64] | None = None

    @property
    def relative_noise(self) -> float:
        """The error's energy in that of the signal."""
        return float(self.noise.sum() / max(float(self.signal.sum()), 1e-300))

    @property
    def quality(self) -> float:
        """Per cent of right answers, or dB of SQNR."""
        if self.right is not None:
            return 100.0 * float(self.right.mean())
        return 200.0 if not self.noise.any() else -_dB(self.relative_noise)

    def __add__(self, other: Scores) -> Scores:
        right = margin = None
        if self.right is not None and other.right is not None:
            right = np.concatenate([self.right, other.right])
        if self.margin is not None and other.margin is not None:
            margin = np.concatenate([self.margin, other.margin])
        return Scores(np.concatenate([self.noise, other.noise]),
                      np.concatenate([self.signal, other.signal]), right, margin)

    def loss_from(self, reference: Scores) -> float:
        """What these lose against `reference`, finer than `drop_from`, to compare choices by.

        With labels, an answer counts as right by 1 / (1 + exp(-margin / t)), t being a tenth of
        the usual margin of `reference`: so that answers that are about to change count too, and
        fewer samples tell choices apart. In points of accuracy; without labels the noise in the
        signal's energy, above that of `reference`.
        """
        if self.margin is None or reference.margin is None:
            return self.relative_noise - reference.relative_noise
        usual = np.abs(reference.margin[np.isfinite(reference.margin)])
        width = max(_SOFTNESS * float(usual.mean()) if usual.size else 0.0, 1e-30)
        ours, theirs = (1 / (1 + np.exp(-np.clip(margins / width, -50, 50)))
                        for margins in (self.margin, reference.margin))
        return 100.0 * float((theirs - ours).mean())

    def drop_from(self, reference: Scores) -> Drop:
        """What these lose against `reference`, of the same samples.

        The error of a drop in accuracy comes from the samples where only one of the two is right,
        one more than there are: so that few samples without a difference prove little. That of a
        drop in dB is the first-order error of the ratio of two mean energies.
        """
        count = len(self.noise)
        if self.right is not None and reference.right is not None:
            lost = reference.right.astype(np.float64) - self.right
            return Drop(100.0 * float(lost.mean()),
                        100.0 * float(np.sqrt((lost**2).sum() + 1.0)) / count, count)
        if self is reference or np.array_equal(self.noise, reference.noise):
            return Drop(0.0, 0.0, count)
        tiny = 1e-20 * max(float(self.signal.mean()), 1e-280)
        mean, before = (max(float(s.noise.mean()), tiny) for s in (self, reference))
        spread = self.noise / mean - reference.noise / before
        return Drop(_dB(mean / before), _DECIBELS * float(spread.std()) / np.sqrt(count), count)


def scores(
    expected: Iterable[Array], got: Iterable[Array], labels: Array | None
) -> Scores:
    """Scores of the outputs `got`, the float model's being `expected`."""
    noise, signal, right, margins = [], [], [], []
    for index, (want, have) in enumerate(zip(expected, got, strict=True)):
        wide = np.asarray(want, np.float64)
        signal.append(float((wide**2).sum()))
        noise.append(float(((wide - np.asarray(have, np.float64)) ** 2).sum()))
        if labels is not None:
            right.append(answer(have) == int(labels[index]))
            margins.append(margin(have, int(labels[index])))
    if labels is None:
        return Scores(np.array(noise), np.array(signal), None)
    return Scores(np.array(noise), np.array(signal), np.array(right, bool), np.array(margins))


def sqnr(expected: Sequence[Array], got: Sequence[Array]) -> float:
    """10 log10 of the signal's energy over the error's, in dB over all samples."""
    return scores(expected, got, None).quality


def accuracy(outputs: Sequence[Array], labels: Array) -> float:
    """Per cent of samples whose largest output (or integer output) is the label."""
    right = sum(answer(output) == int(label)
                for output, label in zip(outputs, labels, strict=True))
    return 100.0 * right / max(len(labels), 1)


def answer(output: Array) -> int:
    """The class that an output means: its largest element, or the only one."""
    flat = np.asarray(output).reshape(-1)
    if flat.size > 1:
        return int(flat.argmax())
    return int(flat[0] > 0.5) if flat.dtype.kind == "f" else int(flat[0])


def margin(output: Array, label: int) -> float:
    """By how much the output of class `label` is above the largest other one.

    Of an only output: its distance from 0.5, or 1 for integers, negative where it is wrong.
    """
    flat = np.asarray(output).reshape(-1)
    if flat.size == 1:
        distance = abs(float(flat[0]) - 0.5) if flat.dtype.kind == "f" else 1.0
        return distance if answer(flat) == label else -distance
    if not 0 <= label < flat.size:
        return -np.inf
    wide = flat.astype(np.float64)
    return float(wide[label] - np.delete(wide, label).max())


def _dB(ratio: float) -> float:  # noqa: N802 - the unit's spelling
    return float(10 * np.log10(max(ratio, 1e-300)))

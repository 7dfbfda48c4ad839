"""Accuracy against labels, of the program and the source model; and can the labels be right."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.diagnostics import Diagnostic, UsageError
from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence, Runs
from ternc.validation.limits import Limits

Array = npt.NDArray[np.generic]
DROP: Final = 2.0  # points from the source model's accuracy
_SURE: Final = 3.0  # standard errors above chance
_ENOUGH: Final = 16  # labels below which chance says nothing


def accuracy(seen: Evidence, limits: Limits) -> list[Check]:
    """Nothing without labels, but that a limit on the accuracy could not be looked at.

    Raises:
        UsageError: a label is no class of the model (TC0301).
    """
    if seen.labels is None:
        if limits.min_accuracy is None and limits.max_accuracy_drop is None:
            return []
        return [Check("accuracy", Verdict.FAILED, "no labels: put them under 'labels' in the data",
                      limit=limits.min_accuracy)]
    labels = seen.labels
    _check_classes(seen, labels)
    ours, theirs = _share(seen.found, labels), _share(seen.expected, labels)
    drop = DROP if limits.max_accuracy_drop is None else limits.max_accuracy_drop
    allowed = drop / 100
    if limits.max_accuracy_drop is None:
        allowed = max(allowed, 1 / len(labels))  # one sample of a few says nothing
    least = max(theirs - allowed, limits.min_accuracy or 0.0)
    least_said = f"limit {100 * least:.2f} %"
    return [_labels(seen, theirs), Check(
        "accuracy", held(ours >= least - 1e-9),
        f"{100 * ours:.2f} %, the source model {100 * theirs:.2f} %; {least_said}; "
        f"{len(labels)} samples", ours, least)]


def _check_classes(seen: Evidence, labels: Array) -> None:
    """Refuses labels that no output stands for."""
    classes = next(iter(seen.expected[0].values())).size
    low, high = int(labels.min()), int(labels.max())
    if classes > 1 and not 0 <= low <= high < classes:
        raise UsageError((Diagnostic(
            "TC0301", f"the labels go from {low} to {high}, and the model has {classes} classes",
            help="labels are class numbers, the first class is 0"),))


def _labels(seen: Evidence, theirs: float) -> Check:
    """Stale labels, or inputs normalised otherwise: the source model itself only guesses."""
    assert seen.labels is not None
    _, counts = np.unique(seen.labels, return_counts=True)
    total = len(seen.labels)
    chance = float(counts.max()) / total
    least = chance + _SURE * math.sqrt(chance * (1 - chance) / total)
    if total < _ENOUGH or len(counts) < 2 or least >= 1:
        return Check("labels", Verdict.INFORMATION,
                     f"{total} of {len(counts)} classes: too few to tell whether they belong to "
                     "the data")
    passed = theirs > least
    detail = f"the source model gets {100 * theirs:.2f} %, guessing {100 * chance:.2f} %"
    if not passed:
        detail += ": the labels do not belong to the data, or the data is not normalised as in " \
                  "training"
    return Check("labels", held(passed), detail, theirs, least)


def _share(runs: Runs, labels: Array) -> float:
    name = next(iter(runs[0]))
    if runs[0][name].size == 1:  # ArgMax inside the model, or one score
        answers = np.array([run[name].reshape(-1)[0] for run in runs])
        if answers.dtype.kind == "f":
            answers = (answers > 0.5).astype(np.int64)
    else:
        answers = np.array([run[name].reshape(-1).argmax() for run in runs])
    return float((answers == labels).mean())

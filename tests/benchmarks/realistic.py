"""Calibration samples in the range that MLPerf Tiny's models see, from ../shared/data.

Their own data are not there: images of CIFAR-10, and spoken digits for keywords and for the sound
of machines.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from tests.benchmarks.ternarize_table import SUBJECTS

Array = npt.NDArray[Any]


def samples(model: str, count: int) -> Array:
    """`count` inputs, chosen the same way every time."""
    subject = next(s for s in SUBJECTS if s.name == model)
    return subject.data(count, 1).fit

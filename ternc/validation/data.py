"""The samples that a model is validated with, and their labels."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ternc.diagnostics import Diagnostic, UsageError
from ternc.labels import class_numbers, read_labels

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.feeds import Data, Feed

Array = npt.NDArray[np.generic]
NOISE_SAMPLES = 32


def feeds(
    compiled: CompiledModel, data: Data | None, labels: object, samples: int | None, seed: int,
) -> tuple[list[Feed], Array | None]:
    """At most `samples` feeds and their class numbers; seeded noise without data.

    Raises:
        CompileError: the data does not fit the model (TC0301).
        UsageError: the labels do not fit the data (TC0301).
    """
    from ternc.feeds import input_specs, random_feeds
    from ternc.feeds import samples as read

    specs = input_specs(compiled.model)
    if data is None:
        return list(random_feeds(specs, samples or NOISE_SAMPLES, seed)), None
    known = read(data, specs)
    taken = list(islice(known, samples))
    found = known.labels if labels is None else read_labels(labels)
    if found is None:
        return taken, None
    found = class_numbers(found)
    if len(found) < len(taken):
        raise _failure(f"{len(found)} labels for {len(taken)} samples")
    return taken, found[: len(taken)]


def _failure(message: str) -> UsageError:
    help_ = "labels are one class number a sample"
    return UsageError((Diagnostic("TC0301", message, help=help_),))

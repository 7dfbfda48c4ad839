"""The samples that a model is validated with, and their labels."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ternc.diagnostics import Diagnostic, UsageError

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
    found = known.labels if labels is None else _labels(labels)
    if found is None:
        return taken, None
    if found.ndim == 2 and found.shape[1] > 1:
        found = found.argmax(axis=1)  # one-hot
    found = found.reshape(-1)
    if len(found) < len(taken):
        raise _failure(f"{len(found)} labels for {len(taken)} samples")
    return taken, found[: len(taken)]


def _labels(labels: object) -> Array:
    if not isinstance(labels, (str, os.PathLike)):
        return np.asarray(labels)
    try:
        loaded = np.load(labels, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _failure(f"{os.fspath(labels)!r} cannot be read: {error}") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1 and "labels" not in loaded.files:
            raise _failure(f"{os.fspath(labels)!r} holds {len(loaded.files)} arrays, none of "
                           "them named 'labels'")
        found: Array = loaded["labels" if "labels" in loaded.files else loaded.files[0]]
        return found


def _failure(message: str) -> UsageError:
    help_ = "labels are one class number a sample"
    return UsageError((Diagnostic("TC0301", message, help=help_),))

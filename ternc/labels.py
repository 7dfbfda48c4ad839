"""Class numbers of samples, as users give them."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from ternc.diagnostics import Diagnostic, UsageError

Array = npt.NDArray[np.generic]


def read_labels(labels: object) -> Array:
    """Labels from an array, or from a .npy or .npz file ('labels' in it, or its only array).

    Raises:
        UsageError: the file cannot be read, or holds several arrays (TC0301).
    """
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


def class_numbers(labels: Array) -> Array:
    """One class number a sample; one-hot rows become the place of their one.

    Raises:
        UsageError: they are no numbers of classes (TC0301).
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not np.all(np.count_nonzero(labels, axis=1) == 1):
            raise _failure(f"the rows of the labels, of shape {labels.shape}, are not one-hot")
        labels = labels.argmax(axis=1)
    if labels.dtype.kind not in "fiub" or (
            labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels))):
        raise _failure(f"the labels, of type {labels.dtype}, are not class numbers")
    return labels.reshape(-1)


def _failure(message: str) -> UsageError:
    help_ = "labels are one class number a sample"
    return UsageError((Diagnostic("TC0301", message, help=help_),))

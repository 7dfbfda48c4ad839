"""Mean and standard deviation of raw samples, for `--mean data` and `--std data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.diagnostics import Diagnostic, UsageError

if TYPE_CHECKING:
    from ternc.feeds import Samples

FROM_DATA: Final = "data"
Array = npt.NDArray[np.float64]


def asked(*given: Any) -> bool:
    """Whether any of the means and standard deviations is to come from the data."""
    return any(FROM_DATA in value.values() if isinstance(value, Mapping)
               else isinstance(value, str) and value == FROM_DATA for value in given)


def resolved(
    mean: Any, std: Any, model: ir.Model, data: Samples | None
) -> tuple[Any, Any]:
    """`mean` and `std` with numbers in the place of "data".

    One number for each channel: axis 1 of inputs with three dimensions or more, the last axis of
    others; one number for an input whose channels come last (it is only transposed). As in
    scikit-learn's StandardScaler, a channel that never changes is divided by 1. One pass over the
    samples, in memory that does not grow with their number.

    Raises:
        UsageError: there are no samples (TC0403).
    """
    if not asked(mean, std):
        return mean, std
    if data is None:
        raise UsageError((Diagnostic(
            "TC0403", "the mean or std is to come from the data, and there is none",
            help="pass --calibration samples.npz (32 to 256 real samples), or give numbers"),))
    seen = {value.name or "": _Moments(_other_axes(value)) for value in model.graph.inputs
            if value.dtype is ir.DataType.FLOAT}
    for feed in data:
        for name, moments in seen.items():
            moments.add(feed[name])
    return (_replaced(mean, {name: item.mean for name, item in seen.items()}),
            _replaced(std, {name: item.std for name, item in seen.items()}))


def _replaced(given: Any, found: dict[str, Array]) -> Any:
    if isinstance(given, Mapping):
        return {name: found.get(name, value) if isinstance(value, str) and value == FROM_DATA
                else value for name, value in given.items()}
    return found if isinstance(given, str) and given == FROM_DATA else given


def _other_axes(value: ir.Value) -> tuple[int, ...]:
    """The axes that a mean is taken over."""
    rank = len(value.shape or ())
    readers = [use.node.op_type for use in value.uses()]
    if rank > 2 and readers and set(readers) == {"Transpose"}:
        return tuple(range(rank))
    channels = 1 if rank > 2 else rank - 1
    return tuple(axis for axis in range(rank) if axis != channels)


class _Moments:
    """Running mean and sum of squared differences from it (Chan, Golub and LeVeque 1983)."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes
        self.count = 0
        self.mean: Array = np.zeros(())
        self._squares: Array = np.zeros(())

    def add(self, sample: npt.NDArray[np.generic]) -> None:
        real = np.asarray(sample, np.float64)
        mean = real.mean(axis=self.axes, keepdims=True)
        squares = ((real - mean) ** 2).sum(axis=self.axes)
        mean = mean.reshape(squares.shape)
        count = real.size // max(squares.size, 1)
        total = self.count + count
        step = mean - self.mean
        self._squares = self._squares + squares + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    @property
    def std(self) -> Array:
        found = np.sqrt(self._squares / self.count)
        return np.where(found > 0, found, 1.0)

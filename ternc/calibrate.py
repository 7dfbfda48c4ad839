"""Calibration: the range of every tensor over the user's samples, seen through onnxruntime.

One pass over the samples, in memory that does not grow with their number: each tensor has its
extremes and, for the methods other than minmax, a histogram whose bins double in width as the
range grows. Bins are aligned at 0 and merge in pairs, so the result is the same for any order of
the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic
from ternc.histogram import Histogram, entropy_range, mse_range, percentile_range

Method = Literal["minmax", "percentile", "entropy", "mse"]
METHODS: Final[tuple[Method, ...]] = ("minmax", "percentile", "entropy", "mse")

_MASKED: Final = -1e4
"""Stands for minus infinity in masks, which hold nothing else but 0."""

Progress = Callable[[int, "int | None"], None]
"""Called after each sample with how many are done, and how many there are if that is known."""


@dataclass(frozen=True, slots=True)
class Ranges(Mapping[str, tuple[float, float]]):
    """(low, high) of each tensor by name, with the method and the number of samples behind it."""

    by_name: Mapping[str, tuple[float, float]]
    method: Method
    samples: int

    def __getitem__(self, name: str) -> tuple[float, float]:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)


@dataclass(frozen=True, slots=True)
class _Softmax:
    """A Softmax over `axis` whose result has `bits`."""

    axis: int
    bits: int

    def clipped(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The values, none so far below its row's largest that the result cannot hold it.

        Masks are minus infinity or -1e9. Where they saturated at the least other value, what is
        masked would count; where they did not, the scale would leave nothing of the others.
        All values of a row at the bound add less than half a unit of the result.
        """
        bound = np.log(2.0 ** (self.bits + 1) * values.shape[self.axis])
        largest = values.max(axis=self.axis, keepdims=True)
        clipped: npt.NDArray[np.float64] = np.maximum(values, largest - bound)
        return clipped


@dataclass(slots=True)
class _Observation:
    """What is kept of one tensor: its extremes, and its histogram when the method needs one."""

    name: str
    histogram: Histogram | None
    softmax: _Softmax | None = None  # what alone reads it
    low: float = np.inf
    high: float = -np.inf
    infinite: bool = field(default=False)

    def add(self, values: npt.NDArray[np.generic], sample: int) -> None:
        real = np.asarray(values, np.float64)
        if np.isnan(real).any():
            raise CompileError((Diagnostic(
                "TC0301", f"tensor {self.name!r} is not a number for sample {sample}",
                help="the model divides by zero or overflows there",
            ),))
        if self.softmax is not None:
            real = self.softmax.clipped(real)
        real = real.reshape(-1)
        finite = np.isfinite(real)
        if not finite.all():  # it saturates, and must not spoil the range
            self.infinite = True
            real = real[finite]
        if not real.size:
            return
        self.low = min(self.low, float(real.min()))
        self.high = max(self.high, float(real.max()))
        if self.histogram is not None:
            self.histogram.add(real)

    def range(self, method: Method, percentile: float, bits: int) -> tuple[float, float]:
        if self.low > self.high:
            return 0.0, 0.0
        if self.infinite and self.low == self.high == 0:
            return _MASKED, 0.0
        if self.histogram is None or self.low == self.high:
            low, high = self.low, self.high
        elif method == "percentile":
            low, high = percentile_range(self.histogram, percentile)
        elif method == "entropy":
            low, high = entropy_range(self.histogram, bits)
        else:
            low, high = mse_range(self.histogram, bits)
        # A bin may reach beyond what was seen.
        return rounded(max(low, self.low)), rounded(min(high, self.high))


def calibrate(
    model: onnx.ModelProto | ir.Model,
    feeds: Iterable[Mapping[str, npt.NDArray[np.generic]]],
    tensors: Sequence[str],
    method: Method = "minmax",
    *,
    percentile: float = 99.99,
    bits: int = 8,
    progress: Progress | None = None,
) -> Ranges:
    """Ranges of `tensors` (inputs included) over the samples in `feeds`.

    Args:
        model: The float model; onnxruntime must be able to run it.
        feeds: Samples, as `ternc.feeds.samples` gives them.
        tensors: What to observe: `ternc.passes.quantize.tensors_to_observe`.
        method: minmax takes the extremes; percentile cuts (100 - percentile) / 2 per cent off
            each end; entropy clips where the quantized distribution diverges least from the
            observed one (Kullback-Leibler); mse clips where the squared error is least.
        percentile: For that method, which share of the values to keep.
        bits: Width of the integers that entropy and mse optimize for.
        progress: Called after each sample.

    Raises:
        CompileError: There are no samples, or a tensor is not a number (TC0301).
        OracleError: onnxruntime cannot run the model.
    """
    from ternc.oracle import Oracle  # onnxruntime takes a second to import

    assert method in METHODS, method
    oracle = Oracle(model)
    axes = _softmax_axes(model)
    seen = {
        name: _Observation(
            name, None if method == "minmax" else Histogram(),
            _Softmax(axes[name], bits) if name in axes else None)
        for name in tensors
    }
    total = getattr(feeds, "count", None)
    count = 0
    for feed in feeds:
        for name, value in oracle.run(feed, seen).items():
            seen[name].add(value, count)
        count += 1
        if progress is not None:
            progress(count, total)
    if not count:
        raise CompileError((Diagnostic("TC0301", "the calibration data holds no samples"),))
    by_name = {name: item.range(method, percentile, bits) for name, item in seen.items()}
    return Ranges(by_name, method, count)


def _softmax_axes(model: onnx.ModelProto | ir.Model) -> dict[str, int]:
    """The axis of the Softmax that alone reads a tensor, by the tensor's name."""
    graph = (model if isinstance(model, ir.Model) else ir.from_proto(model)).graph
    return {
        value.name: node.attributes.get_int("axis", -1)
        for node in graph if node.op_type == "Softmax" and not node.domain
        if (value := node.inputs[0]) is not None and value.name
        and len(list(value.uses())) == 1 and not value.is_graph_output()}


def rounded(value: float) -> float:
    """`value` to 16 significant bits, so that the last bits of an exp or a sum do not matter."""
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.rint(np.ldexp(mantissa, 16)), int(exponent) - 16))

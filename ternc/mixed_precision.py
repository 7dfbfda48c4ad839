"""Mixed precision: which layers may be ternary so that the loss stays below a limit.

Each layer is measured alone: ternary by reconstruction, the rest int8. In the order of what a
layer loses for each byte it saves, growing sets are then measured as they would be compiled, and
the smallest in flash that holds the limit is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics

if TYPE_CHECKING:
    from ternc.feeds import Feed, Samples
    from ternc.precision import Precision

Array = npt.NDArray[np.generic]
_ROUNDING: Final = 1e-9
_EXTRA: Final = 4  # layers tried beyond the first set that fails


@dataclass(frozen=True, slots=True)
class Point:
    """One choice that was measured: its ternary layers, its size and what it loses.

    `error` is the standard error of the drop, over the samples that it was measured on. A point
    holds the limit when drop and error together do, so that new samples hold it too.
    """

    ternary: tuple[str, ...]
    flash_bytes: int
    quality: float
    drop: float
    error: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One layer made ternary, the others int8."""

    node: str
    saved_bytes: int
    drop: float


@dataclass(frozen=True, slots=True)
class MixedPrecision:
    """What was measured, and the point that was chosen.

    With labels, quality is accuracy in per cent, and the drop is from the float model. Without,
    quality is the SQNR of the output in dB, and the drop is from the int8 model.
    """

    measure: Literal["accuracy", "sqnr"]
    limit: float
    reference: float
    samples: int
    sensitivity: tuple[Sensitivity, ...]
    frontier: tuple[Point, ...]
    chosen: Point

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {
            "measure": self.measure, "limit": self.limit, "reference": self.reference,
            "samples": self.samples,
            "sensitivity": [{"node": s.node, "saved_bytes": s.saved_bytes, "drop": s.drop}
                            for s in self.sensitivity],
            "frontier": [_point(p) for p in self.frontier],
            "chosen": _point(self.chosen),
        }

    def table(self) -> str:
        """The frontier as text, smallest first; the chosen point is marked."""
        unit = "%" if self.measure == "accuracy" else " dB"
        lines = [f"mixed precision, {self.measure} on {self.samples} samples, drop at most "
                 f"{self.limit:g}:"]
        for p in sorted(self.frontier, key=lambda p: p.flash_bytes):
            mark = "*" if p == self.chosen else " "
            sure = f" +- {p.error:.2f}" if self.measure == "accuracy" else ""
            names = f": {', '.join(p.ternary)}" if p.ternary else ""
            lines.append(f"{mark} {p.flash_bytes:>10,} bytes  {p.quality:6.2f}{unit}  "
                         f"drop {p.drop:5.2f}{sure}  {len(p.ternary)} ternary{names}")
        return "\n".join(lines)


def _point(point: Point) -> dict[str, Any]:
    return {"ternary": list(point.ternary), "flash_bytes": point.flash_bytes,
            "quality": point.quality, "drop": point.drop, "error": point.error,
            "holds": point.holds}


def choose(
    model: ir.Model, precision: Precision, data: Samples, *, labels: Any = None,
    evaluation: Samples | None = None, diagnostics: Diagnostics,
    progress: Callable[[int, int | None], None] | None = None,
) -> MixedPrecision:
    """The ternary layers of the smallest program whose loss is at most `precision.max_drop`.

    Measured on `evaluation`; without it every other sample of `data` is held out for that, and the
    search fits on the rest.

    Raises:
        CompileError: not even the program with int8 weights holds the limit (TC0208).
    """
    from ternc.passes.ternarize import float_slots

    assert precision.max_drop is not None
    fit, check, answers = _split(data, labels, evaluation)
    search = _Search(model, precision, fit, check, answers, precision.max_drop)
    forced = tuple(sorted(precision.kept("ternary")))
    slots = list(float_slots(model, None, precision.not_ternary))
    weights: dict[str, int] = {}
    for slot in slots:
        array = slot.weight.const_value
        assert array is not None
        name = slot.node.name or ""
        weights[name] = weights.get(name, 0) + int(array.size)
    free = [name for name in weights if name not in forced]
    total = len(free) + 4
    search.measure(())  # the int8 model, which every loss in dB is counted from
    base = search.measure(forced)
    measured = []
    for index, name in enumerate(free):
        point = search.measure((*forced, name))
        measured.append(Sensitivity(name, weights[name] * 3 // 4, point.drop - base.drop))
        if progress is not None:
            progress(index + 1, total)
    order = [s.node for s in sorted(measured, key=lambda s: (
        max(s.drop, 0.0) / s.saved_bytes, -s.saved_bytes, s.node))]
    _grow(search, forced, order)
    points = tuple(p for p in search.points.values() if set(forced) <= set(p.ternary))
    # where nothing that saves is sure to hold, what was measured to hold must do
    holding = [point for point in points if point.holds]
    if all(point == base for point in holding):
        holding = [point for point in points if point.drop <= search.limit + _ROUNDING]
    if not holding:
        raise CompileError((*diagnostics, _cannot_hold(search, points)))
    chosen = min(holding, key=lambda p: (p.flash_bytes, p.drop))
    return MixedPrecision(
        search.kind, search.limit, search.reference, len(search.check), tuple(measured),
        _pareto(points, chosen), chosen)


def _cannot_hold(search: _Search, points: Sequence[Point]) -> Diagnostic:
    nearest = min(points, key=lambda p: p.drop)
    unit = "points of accuracy" if search.kind == "accuracy" else "dB"
    return Diagnostic(
        "TC0208", f"no choice of ternary and int8 layers loses at most {search.limit:g} {unit}",
        notes=(f"nearest: {nearest.drop:.2f} {unit} with {len(nearest.ternary)} ternary layers "
               f"({nearest.flash_bytes:,} bytes), {nearest.drop - search.limit:.2f} too much",),
        help=f"allow --max-drop {np.ceil(nearest.drop * 10) / 10:g}, keep layers in float32 "
             "(--keep float32:NODE), or give more calibration samples")


def _grow(search: _Search, forced: tuple[str, ...], order: list[str]) -> None:
    """Bisects the longest prefix of `order` that holds, then tries the layers behind it."""
    low, high = 0, len(order) + 1  # forced alone was measured; high fails or is beyond the end
    while high - low > 1:
        middle = len(order) if (low, high) == (0, len(order) + 1) else (low + high) // 2
        if search.measure((*forced, *order[:middle])).holds:
            low = middle
        else:
            high = middle
    taken = [*forced, *order[:low]]
    for name in order[low + 1 : low + 1 + _EXTRA]:
        if search.measure((*taken, name)).holds:
            taken.append(name)


def _pareto(points: Sequence[Point], chosen: Point) -> tuple[Point, ...]:
    """The points that no other beats in both flash and loss, the chosen one included."""
    kept = [p for p in points if p == chosen or not any(
        q.flash_bytes <= p.flash_bytes and q.drop <= p.drop
        and (q.flash_bytes, q.drop) != (p.flash_bytes, p.drop) for q in points)]
    return tuple(sorted(kept, key=lambda p: p.flash_bytes))


class _Search:
    """Measures choices of ternary layers, each once."""

    def __init__(self, model: ir.Model, precision: Precision, fit: Samples, check: list[Feed],
                 answers: Array | None, limit: float) -> None:
        self.base = ir.to_proto(model)
        self.precision = precision
        self.fit = fit
        self.check = check
        self.answers = answers
        self.limit = limit
        self.kind: Literal["accuracy", "sqnr"] = "sqnr" if answers is None else "accuracy"
        self.points: dict[frozenset[str], Point] = {}
        self.expected = _outputs(self.base, check)
        self.reference = self._quality(self.expected) if answers is not None else float("nan")

    def measure(self, ternary: tuple[str, ...]) -> Point:
        """Compiles with these layers ternary as `apply` would, and measures."""
        from ternc.backends.esp32.encode import encode
        from ternc.backends.esp32.lower import lower
        from ternc.backends.esp32.memory_plan import plan_memory
        from ternc.precision import apply

        key = frozenset(ternary)
        if key in self.points:
            return self.points[key]
        model, quiet = ir.from_proto(self.base), Diagnostics()
        keep = {node: kept for node, kept in self.precision.keep.items() if kept != "ternary"}
        keep |= dict.fromkeys(ternary, "ternary")
        apply(model, replace(self.precision, ternarize=None, weights="auto", keep=keep,
                             max_drop=None), quiet, self.fit)
        outputs = _outputs(ir.to_proto(model), self.check)
        quality = self._quality(outputs)
        program, _ = lower(model, quiet)
        quiet.raise_errors()
        plan_memory(program)  # which places the tensors
        if self.kind == "sqnr" and not key:
            self.reference = quality  # the int8 model is measured first
        drop, error = self.reference - quality, self._error(outputs)
        point = Point(tuple(n.name or "" for n in model.graph if n.name in key),
                      len(encode(program)), quality, drop, error,
                      drop + error <= self.limit + _ROUNDING)
        self.points[key] = point
        return point

    def _error(self, got: list[Array]) -> float:
        """Standard error of the drop in accuracy, from the samples where the answers differ."""
        if self.answers is None:
            return 0.0
        lost = [
            accuracy([before], label[None]) - accuracy([after], label[None])
            for before, after, label in zip(self.expected, got, self.answers, strict=True)]
        return float(np.std(lost) / np.sqrt(max(len(lost), 1)))

    def _quality(self, got: list[Array]) -> float:
        if self.answers is None:
            return sqnr(self.expected, got)
        return accuracy(got, self.answers)


def _outputs(model: onnx.ModelProto, feeds: list[Feed]) -> list[Array]:
    from ternc.oracle import Oracle

    oracle = Oracle(model)
    first = oracle.outputs[0]
    return [oracle.run(feed, [first])[first] for feed in feeds]


def sqnr(expected: Sequence[Array], got: Sequence[Array]) -> float:
    """10 log10 of the signal's energy over the error's, in dB over all samples."""
    signal = noise = 0.0
    for want, have in zip(expected, got, strict=True):
        wide = np.asarray(want, np.float64)
        signal += float((wide**2).sum())
        noise += float(((wide - np.asarray(have, np.float64)) ** 2).sum())
    if noise == 0.0:
        return 200.0
    return float(10 * np.log10(max(signal, 1e-300) / noise))


def accuracy(outputs: Sequence[Array], labels: Array) -> float:
    """Per cent of samples whose largest output (or integer output) is the label."""
    right = 0
    for output, label in zip(outputs, labels, strict=True):
        flat = np.asarray(output).reshape(-1)
        if flat.size > 1:
            answer = int(flat.argmax())
        else:
            answer = int(flat[0] > 0.5) if flat.dtype.kind == "f" else int(flat[0])
        right += answer == int(label)
    return 100.0 * right / max(len(labels), 1)


def _split(
    data: Samples, labels: Any, evaluation: Samples | None
) -> tuple[Samples, list[Feed], Array | None]:
    """Samples to fit on, samples to measure on, and the labels of those."""
    from ternc.feeds import Samples as Kind

    source = data if evaluation is None else evaluation
    given = source.labels if labels is None else np.asarray(labels)
    feeds = list(source)
    if given is not None and (given.ndim == 0 or given.shape[0] != len(feeds) or given.size
                              != len(feeds)):
        raise CompileError((Diagnostic(
            "TC0301", f"there are {len(feeds)} samples and labels of shape {given.shape}",
            help="give one class number for each sample"),))
    flat = None if given is None else given.reshape(-1)
    if evaluation is not None:
        return data, feeds, flat
    if len(feeds) < 2:
        return data, feeds, flat
    fit, check = feeds[::2], feeds[1::2]
    return Kind(lambda: iter(fit), len(fit)), check, None if flat is None else flat[1::2]

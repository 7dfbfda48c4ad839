"""Do the numbers stay in their ranges: input data, saturation, channels that are dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence
from ternc.validation.limits import Limits

if TYPE_CHECKING:
    import onnx_ir as ir

Array = npt.NDArray[np.generic]
SATURATION: Final = 0.05  # of a tensor's values, of a model that is quantized here
NARROW: Final = 1 / 32  # of the input's range: less says that the data is scaled otherwise
_SHOWN: Final = 5


@dataclass(slots=True)
class TensorRange:
    """One QuantizeLinear: its range in real numbers, and what it read over all samples."""

    name: str  # of the tensor that is quantized
    node: str
    low: float
    high: float
    scale: float
    is_input: bool
    count: int = 0
    below: int = 0
    above: int = 0
    least: float = np.inf
    most: float = -np.inf
    first: Array | None = None  # of each channel, its value in the first sample
    alive: npt.NDArray[np.bool_] | None = None  # of each channel, whether it ever varies

    def add(self, values: Array) -> None:
        """Takes one sample in."""
        real = values.astype(np.float64)
        real = np.where(np.isfinite(real), real, 0.0)
        self.count += real.size
        self.below += int((real < self.low - self.scale).sum())
        self.above += int((real > self.high + self.scale).sum())
        self.least = min(self.least, float(real.min(initial=np.inf)))
        self.most = max(self.most, float(real.max(initial=-np.inf)))
        if real.ndim < 3 or real.shape[1] < 2:  # channels of images and signals alone
            return
        rows = np.rint(np.clip(np.moveaxis(real, 1, 0), self.low, self.high) / self.scale)
        rows = rows.reshape(real.shape[1], -1)
        if self.first is None or self.alive is None:
            self.first, self.alive = rows[:, 0], np.zeros(len(rows), np.bool_)
        self.alive |= (rows != self.first[:, None]).any(axis=1)

    @property
    def saturated(self) -> float:
        """Share of the values beyond the range by more than a step."""
        return (self.below + self.above) / self.count if self.count else 0.0

    @property
    def dead(self) -> list[int]:
        """Channels with the same value everywhere, in every sample."""
        return [] if self.alive is None else [int(i) for i in np.flatnonzero(~self.alive)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"name": self.name, "node": self.node, "low": self.low, "high": self.high,
                "least": self.least, "most": self.most, "saturated": self.saturated,
                "dead_channels": self.dead}


def ranges(seen: Evidence, limits: Limits) -> tuple[list[Check], tuple[TensorRange, ...]]:
    """The checks of a quantized model's ranges, with what was found of each."""
    known = _quantizers(seen.compiled.model) if seen.quantized else []
    if known:
        _observe(seen, known)
    inner = [item for item in known if not item.is_input]
    checks = [_input(seen, [item for item in known if item.is_input], limits)]
    if inner:
        checks += [_saturation(seen, inner, limits), _dead(inner)]
    return checks, tuple(known)


def _quantizers(model: ir.Model) -> list[TensorRange]:
    from ternc.passes._graph import constant

    found: dict[str, TensorRange] = {}
    for node in model.graph:
        if node.op_type != "QuantizeLinear" or node.inputs[0] is None:
            continue
        value, scale = node.inputs[0], constant(node.inputs[1])
        given = node.inputs[2] if len(node.inputs) > 2 else None
        zero = None if given is None else constant(given)
        if scale is None or scale.size != 1 or (given is not None and zero is None) \
                or value.name is None:
            continue
        kind = np.uint8 if zero is None else zero.dtype
        if kind not in (np.int8, np.uint8, np.int16):
            continue
        limits = np.iinfo(np.dtype(kind).name)
        offset = 0 if zero is None else int(zero.reshape(-1)[0])
        step = float(scale.reshape(-1)[0])
        found.setdefault(value.name, TensorRange(
            value.name, node.name or "", (limits.min - offset) * step,
            (limits.max - offset) * step, step, value in model.graph.inputs))
    return list(found.values())


def _observe(seen: Evidence, known: list[TensorRange]) -> None:
    from ternc.oracle import Oracle

    oracle = Oracle(seen.compiled.model)
    for feed in seen.detailed:
        values = oracle.run(feed, [item.name for item in known])
        for item in known:
            item.add(values[item.name])


def _input(seen: Evidence, known: list[TensorRange], limits: Limits) -> Check:
    """Whether the data looks like what the model was calibrated on."""
    if seen.noise:
        return Check("input range", Verdict.SKIPPED, "no data: the inputs are noise")
    if not known:
        spans = [f"{name} in {min(float(f[name].min(initial=0)) for f in seen.feeds):.4g} to "
                 f"{max(float(f[name].max(initial=0)) for f in seen.feeds):.4g}"
                 for name in seen.feeds[0]]
        return Check("input range", Verdict.INFORMATION,
                     f"the model states none; the data has {', '.join(spans)}")
    limit = SATURATION if limits.max_saturation is None else limits.max_saturation
    notes = []
    for item in known:
        span = f"{item.name}: {item.least:.4g} to {item.most:.4g}, and the model takes " \
               f"{item.low:.4g} to {item.high:.4g}"
        if item.saturated > limit:
            notes.append(f"{span}: {100 * item.saturated:.1f} % lie outside")
        elif item.most - item.least < NARROW * (item.high - item.low) and item.most > item.least:
            notes.append(f"{span}: scaled otherwise than in calibration?")
    worst = max(item.saturated for item in known)
    detail = f"{100 * worst:.2f} % of the values lie outside, limit {100 * limit:g} %"
    if notes:
        detail = "the data is not in the range that the model takes"
    return Check("input range", held(not notes), detail, worst, limit, notes=tuple(notes))


def _saturation(seen: Evidence, known: list[TensorRange], limits: Limits) -> Check:
    """A model that came quantized may clip on purpose: there it is information."""
    limit = limits.max_saturation
    if limit is None and not seen.same_numbers and not seen.noise:
        limit = SATURATION
    worst = max(known, key=lambda item: item.saturated)
    over = [item for item in known if item.saturated > (SATURATION if limit is None else limit)]
    detail = f"{100 * worst.saturated:.2f} % of {worst.name} at most" + (
        "" if limit is None else f", limit {100 * limit:g} %")
    return Check(
        "saturation", held(limit is None or worst.saturated <= limit, limited=limit is not None),
        detail, worst.saturated, limit,
        notes=tuple(f"{item.name}: {100 * item.saturated:.1f} % beyond {item.low:.4g} to "
                    f"{item.high:.4g}" for item in over[:_SHOWN]) if limit is not None else ())


def _dead(known: list[TensorRange]) -> Check:
    dead = [(item, item.dead) for item in known if item.dead]
    total = sum(len(channels) for _, channels in dead)
    detail = f"{total} channels have one value in every sample" if total else "none"
    return Check(
        "dead channels", Verdict.INFORMATION, detail, float(total),
        notes=tuple(f"{item.name}: {', '.join(map(str, channels[:8]))}"
                    f"{' and more' if len(channels) > 8 else ''} of {len(item.alive)}"
                    for item, channels in dead[:_SHOWN] if item.alive is not None))

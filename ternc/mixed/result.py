"""What mixed precision found: what was measured, and the point that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ternc.mixed.widening import Widening
from ternc.passes.split_channels import Split
from ternc.quality import Drop, Measure

Objective = Literal["flash", "latency"]
OBJECTIVES: Final = ("flash", "latency")


@dataclass(frozen=True, slots=True)
class Point:
    """One choice that was measured: its ternary layers, what it takes and what it loses.

    `int16` are the layers with int16 activations. `quality`, `drop` and `error`, the standard
    error of the drop, are of the samples that select.
    """

    ternary: tuple[str, ...]
    flash_bytes: int
    arena_bytes: int
    instructions: int
    quality: float
    drop: float
    error: float
    int16: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {"ternary": list(self.ternary), "int16": list(self.int16),
                "flash_bytes": self.flash_bytes, "arena_bytes": self.arena_bytes,
                "instructions": self.instructions, "quality": self.quality, "drop": self.drop,
                "error": self.error}


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One layer made ternary, the others left as they are without."""

    node: str
    saved_bytes: int
    saved_instructions: int
    drop: float


@dataclass(frozen=True, slots=True)
class MixedPrecision:
    """What was measured, and the point that was chosen.

    With labels, quality is accuracy in per cent, and the drop is from the float model. Without,
    quality is the SQNR of the output in dB, and the drop is from the int8 model. `confirmed` is
    the drop of the chosen point on samples that took no part in choosing it; `sure` is whether it
    holds the limit with 95 % confidence. `splits` are the layers that the chosen point splits: k
    output channels are the first part, n[:k] of layer n. `widened` are the layers that it gives
    int16 activations.
    """

    measure: Measure
    objective: Objective
    limit: float
    reference: float
    samples: int
    sensitivity: tuple[Sensitivity, ...]
    frontier: tuple[Point, ...]
    chosen: Point
    confirmed: Drop
    sure: bool
    splits: Mapping[str, Split] = field(default_factory=dict)
    widened: tuple[Widening, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the report."""
        return {
            "measure": self.measure, "objective": self.objective, "limit": self.limit,
            "reference": self.reference, "samples": self.samples,
            "sensitivity": [
                {"node": s.node, "saved_bytes": s.saved_bytes,
                 "saved_instructions": s.saved_instructions, "drop": s.drop}
                for s in self.sensitivity],
            "frontier": [p.to_dict() for p in self.frontier],
            "chosen": self.chosen.to_dict(),
            "confirmed": {"drop": self.confirmed.value, "error": self.confirmed.error,
                          "samples": self.confirmed.samples},
            "sure": self.sure,
            "splits": {node: split.channels for node, split in self.splits.items()},
            "widened": [w.to_dict() for w in self.widened],
        }

    def table(self) -> str:
        """The frontier as text, smallest first; the chosen point is marked."""
        unit = "%" if self.measure == "accuracy" else " dB"
        lines = [f"mixed precision, {self.measure} on {self.samples} samples, drop at most "
                 f"{self.limit:g}, for least {self.objective}:"]
        for p in self.frontier:
            mark = "*" if p == self.chosen else " "
            names = f": {', '.join(map(_short, p.ternary))}" if p.ternary else ""
            wide = f"; int16: {', '.join(map(_short, p.int16))}" if p.int16 else ""
            lines.append(f"{mark} {p.flash_bytes:>10,} bytes  {p.arena_bytes:>8,} arena  "
                         f"{p.instructions:>12,} instructions  "
                         f"{p.quality:6.2f}{unit}  drop {p.drop:5.2f} +- {p.error:.2f}  "
                         f"{len(p.ternary)} ternary{names}{wide}")
        lines += [f"  int16 in {_short(w.node)} alone: drop {-w.gain:+.2f}, "
                  f"{w.flash_bytes:+,} bytes, {w.arena_bytes:+,} arena, "
                  f"{w.instructions:+,} instructions" for w in self.widened]
        lines.append(f"  * on {self.confirmed.samples} samples that did not choose it: drop "
                     f"{self.confirmed.value:.2f} +- {self.confirmed.error:.2f}")
        return "\n".join(lines)


def _short(name: str) -> str:
    """The name of a layer for people; which of its channels it means stays."""
    from ternc.report import short

    layer, bracket, channels = name.rpartition("[")
    return f"{short(layer)}[{channels}" if bracket and channels.endswith("]") else short(name)

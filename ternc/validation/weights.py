"""Which weights are ternary, which nearly, which not: how far off, and in which channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ternc.quantize import ternarize
from ternc.validation.checks import Check, Verdict

if TYPE_CHECKING:
    import onnx_ir as ir

    from ternc.compiled import CompiledModel

Array = npt.NDArray[np.float64]
Kind = Literal["ternary", "nearly ternary", "not ternary"]
NEAR: Final = 0.01  # of the scale: a weight so near to -s, 0 or s counts as being there
ENOUGH: Final = 0.9  # the share of such weights from which a tensor is nearly ternary
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class WeightResult:
    """One weight tensor: `error` is the relative rms distance from its best ternary form.

    `near` is the share of weights within 1 % of a level, `off` lists output channels that have
    one further away, and `worst` is the largest such distance in scales.
    """

    node: str
    op_type: str
    count: int
    kind: Kind
    zeros: float
    error: float
    near: float
    worst: float
    off: tuple[int, ...]
    channels: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"node": self.node, "op": self.op_type, "count": self.count, "kind": self.kind,
                "zeros": self.zeros, "error": self.error, "near": self.near, "worst": self.worst,
                "channels_off": list(self.off), "channels": self.channels}


def weights(
    compiled: CompiledModel, front: ir.Model
) -> tuple[list[Check], tuple[WeightResult, ...]]:
    """The check, for information, and each tensor's figures.

    Args:
        compiled: what became of the model.
        front: the model before anything lossy.
    """
    results = tuple(_results(compiled, front))
    if not results:
        return [], ()
    total = sum(item.count for item in results)
    parts = []
    for kind in ("ternary", "nearly ternary", "not ternary"):
        members = [item for item in results if item.kind == kind]
        if members:
            share = 100 * sum(item.count for item in members) / total
            parts.append(f"{len(members)} {kind} ({share:.0f} %)")
    nearly = [item for item in results if item.kind == "nearly ternary"]
    ternary = sum(item.count for item in results if item.kind == "ternary") / total
    check = Check("weights", Verdict.INFORMATION, f"of {len(results)} tensors "
                  + ", ".join(parts), ternary, notes=tuple(_line(item) for item in nearly))
    return [check], results


def _line(item: WeightResult) -> str:
    channels = ", ".join(map(str, item.off[:_SHOWN]))
    more = "" if len(item.off) <= _SHOWN else f" and {len(item.off) - _SHOWN} more"
    return (f"{item.node} ({item.op_type}): {100 * item.near:.1f} % lie on -s, 0, s; up to "
            f"{item.worst:.2f} s off in channels {channels}{more} of {item.channels}")


def _results(compiled: CompiledModel, front: ir.Model) -> Iterator[WeightResult]:
    from ternc.passes._canonical import is_canonical
    from ternc.passes._graph import dequantized_constant
    from ternc.passes._linear import RECURRENT, weight_slots

    made = {(node.name, slot.index) for node in compiled.model.graph
            for slot in weight_slots(node) if is_canonical(slot)}
    for node in front.graph:
        for slot in weight_slots(node):
            values = dequantized_constant(slot.weight)
            if values is None or not values.size or not np.isfinite(values).all():
                continue
            axis = slot.axis
            if node.op_type in RECURRENT:
                values, axis = values.reshape(-1, values.shape[-1]), 0
            rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
            yield _measured(node.name or "", node.op_type, rows.astype(np.float64),
                            ternary=is_canonical(slot) or (node.name, slot.index) in made)


def _measured(node: str, op_type: str, rows: Array, *, ternary: bool) -> WeightResult:
    best = ternarize(rows, "optimal", axis=0)
    distance = np.abs(rows - best.dequantize())
    scale = np.maximum(best.scale.astype(np.float64), 1e-30)[:, None]
    relative = np.where(distance > 0, distance / scale, 0.0)
    norm = float(np.sqrt((rows**2).sum()))
    near = float((relative <= NEAR).mean())
    zeros = float((np.asarray(best.codes) == 0).mean())
    off = tuple(int(i) for i in np.flatnonzero((relative > NEAR).any(axis=1)))
    # mostly zeros is sparse, not ternary
    nearly = near >= ENOUGH and near > 2 * zeros - 1
    kind: Kind = "ternary" if ternary else "nearly ternary" if nearly else "not ternary"
    return WeightResult(
        node, op_type, rows.size, kind, zeros,
        float(np.sqrt((distance**2).sum())) / norm if norm else 0.0, near,
        float(relative.max(initial=0.0)), off, len(rows))

"""Along the program: every tensor that it holds in memory, against onnxruntime's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ternc.comparison import Comparison
from ternc.validation.checks import Check, Verdict, held, json_number
from ternc.validation.evidence import Evidence, device_feed
from ternc.validation.limits import Limits

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel

_SHOWN = 5
_WRONG_DB = 20.0  # below this a tensor is said to have gone wrong


@dataclass(frozen=True, slots=True)
class TensorResult:
    """One tensor of the program over all samples, errors of the layers before it included.

    `sqnr_db`, `cosine` and `absolute` (in real units) are against the quantized model, where the
    program is quantized; `float_sqnr_db` against the float model that it was made from, if any.
    """

    name: str
    layer: str  # the node that computes it
    sqnr_db: float
    cosine: float
    absolute: float
    float_sqnr_db: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name, "layer": self.layer, "sqnr_db": json_number(self.sqnr_db),
            "cosine": self.cosine, "absolute": json_number(self.absolute),
            "float_sqnr_db": json_number(self.float_sqnr_db),
        }


def along(
    seen: Evidence, limits: Limits, progress: Callable[[int], None] = lambda done: None
) -> tuple[list[Check], tuple[TensorResult, ...]]:
    """The check of the tensors in execution order, and each tensor's figures."""
    from ternc.oracle import Oracle

    names = _named_tensors(seen.compiled)
    oracle = Oracle(seen.compiled.model)
    known = set(oracle.tensors)
    names = {name: layer for name, layer in names.items() if name in known}
    made_here = seen.quantized and not seen.same_numbers
    original = Oracle(seen.compiled.source) if made_here else None
    floats = set(original.tensors) & set(names) if original is not None else set()
    same = {name: Comparison() for name in names}
    real = {name: Comparison() for name in names if name in floats}
    for done, feed in enumerate(seen.detailed, 1):
        answers = seen.compiled.run(device_feed(seen.compiled, feed), intermediates=True)
        wanted = oracle.run(feed, names)
        source = original.run(feed, real) if original is not None and real else {}
        for name, comparison in same.items():
            answer = answers[name]
            if answer.size != wanted[name].size or wanted[name].dtype.kind != "f":
                continue
            if answer.shape != wanted[name].shape:
                continue  # an output in another axis order
            comparison.add(answer, wanted[name])
            if name in source and source[name].shape == answer.shape:
                real[name].add(answer, source[name])
        progress(done)
    results = tuple(
        TensorResult(name, names[name], item.sqnr_db, item.cosine, item.absolute,
                     real[name].sqnr_db if name in real and real[name].count else None)
        for name, item in same.items() if item.count)
    return _checks(results, limits, made_here=made_here), results


def _named_tensors(compiled: CompiledModel) -> dict[str, str]:
    """ONNX name -> layer, one name for each tensor in memory, in the order they are computed."""
    writers: dict[int, tuple[int, str]] = {}
    for step, item in enumerate(compiled.runs.instructions):
        for tensor in item.writes:
            writers[id(tensor.root)] = (step, item.layer)
    found: dict[int, tuple[int, str, str]] = {}
    for name, view in compiled.runs.values.items():
        real = view.scale is not None or view.tensor.dtype.name == "F32"
        if real and id(view.tensor) in writers:
            step, layer = writers[id(view.tensor)]
            found.setdefault(id(view.tensor), (step, name, layer))
    return {name: layer for _, name, layer in sorted(found.values())}


def _checks(results: tuple[TensorResult, ...], limits: Limits, *, made_here: bool) -> list[Check]:
    if not results:
        return []
    checks = []
    worst = min(results, key=lambda item: item.sqnr_db)
    limit = limits.min_layer_sqnr
    wrong = [item for item in results
             if item.sqnr_db < (_WRONG_DB if limit is None else limit)]
    detail = f"{len(results)} tensors, all equal"
    if not math.isinf(worst.sqnr_db):
        detail = (f"{len(results)} tensors, the lowest {worst.sqnr_db:.1f} dB, cosine "
                  f"{worst.cosine:.4f}, worst error {max(r.absolute for r in results):.3g}")
    if wrong:
        detail += f"; the first that goes wrong: {wrong[0].layer}"
    checks.append(Check(
        "along the program", held(not wrong, limited=limit is not None), detail, worst.sqnr_db,
        limit, notes=tuple(_line(item) for item in wrong[:_SHOWN])))
    if made_here:
        checks += _loss(results)
    return checks


def _loss(results: tuple[TensorResult, ...]) -> list[Check]:
    """What quantization costs, tensor by tensor."""
    known = [(item.float_sqnr_db, item) for item in results if item.float_sqnr_db is not None]
    if not known:
        return []
    worst, where = min(known, key=lambda pair: pair[0])
    low = [item for signal, item in known if signal < _WRONG_DB]
    detail = f"lowest {worst:.1f} dB at {where.layer}, against the float model"
    if low:
        detail += f"; the first below {_WRONG_DB:g} dB: {low[0].layer}"
    return [Check("loss by layer", Verdict.INFORMATION, detail, worst)]


def _line(item: TensorResult) -> str:
    return (f"{item.layer} -> {item.name}: {item.sqnr_db:.1f} dB, cosine {item.cosine:.4f}, "
            f"worst error {item.absolute:.3g}")

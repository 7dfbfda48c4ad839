"""Layer by layer: each alone against onnxruntime, and all chained against the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ternc.layerwise import ROUNDING_LIMIT, LayerResult, Layers
from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence, device_feed

_SHOWN = 5


def layers(
    seen: Evidence, progress: Callable[[int], None] = lambda done: None
) -> tuple[list[Check], tuple[LayerResult, ...]]:
    """The checks of a quantized model's layers, with what was found of each."""
    if not seen.quantized:
        return [], ()
    parts = Layers(seen.compiled.model)
    results = parts.check(seen.detailed, progress)
    return [_alone(results), *_rounding(results), _chained(seen, parts)], tuple(results)


def _alone(results: Sequence[LayerResult]) -> Check:
    failed = [result for result in results if not result.passed]
    integers = [result for result in results if result.integer]
    worst = max((result.worst for result in integers), default=0.0)
    exact = sum(result.count - result.wrong for result in integers)
    total = sum(result.count for result in integers)
    limit = max((result.limit for result in integers), default=1.0)
    wider = f" ({limit:.0f} of recurrent int16)" if limit > 1 else ""
    detail = (f"{len(results)} layers, worst {worst:.0f}, limit 1{wider}; "
              f"{exact:,} of {total:,} integers equal")
    if failed:
        detail += f"; the first that is wrong: {failed[0].name}"
    return Check("layer by layer", held(not failed), detail, worst, limit,
                 notes=tuple(_line(result) for result in failed[:_SHOWN]))


def _line(result: LayerResult) -> str:
    operators = "+".join(result.op_types) or "requantization"
    unit = "steps" if result.integer else "of the largest value"
    return (f"{result.name} ({operators}): {result.worst:.3g} {unit}, {result.absolute:.3g} "
            f"absolute, {result.sqnr_db:.1f} dB, cosine {result.cosine:.4f}")


def _rounding(results: Sequence[LayerResult]) -> list[Check]:
    """A kernel that rounds otherwise stays within 1 of the oracle, but not within half a step."""
    known = [(result.rounding, result) for result in results if result.rounding is not None]
    if not known:
        return []
    worst = max(rounding for rounding, _ in known)
    failed = [result for rounding, result in known if rounding > ROUNDING_LIMIT]
    detail = (f"integers are at most {worst:.2f} steps from what was rounded, limit "
              f"{ROUNDING_LIMIT:g}")
    if failed:
        detail += f"; first at {failed[0].name}"
    return [Check("rounding", held(not failed), detail, worst, ROUNDING_LIMIT,
                  notes=tuple(_line(result) for result in failed[:_SHOWN]))]


def _chained(seen: Evidence, parts: Layers) -> Check:
    """The program against its own layers: the same kernels, so the same bytes."""
    different: dict[str, int] = {}
    count = 0
    for feed, found in zip(seen.detailed, seen.found, strict=False):
        values = parts.chained(feed)
        for name, answer in found.items():
            if name not in values:
                continue
            count += 1
            if not np.array_equal(answer, values[name].reshape(answer.shape), equal_nan=True):
                different[name] = different.get(name, 0) + 1
    if not count:
        return Check("layers chained", Verdict.SKIPPED, "no output is the output of a layer")
    detail = f"the program gives what its layers give one after the other: {count} outputs equal"
    if different:
        where = _first_difference(seen, parts)
        detail = "the program differs from its layers run one after the other: " + ", ".join(
            f"{name} for {times} of {len(seen.detailed)} samples"
            for name, times in different.items()) + where
    return Check("layers chained", held(not different), detail, float(sum(different.values())),
                 0.0)


def _first_difference(seen: Evidence, parts: Layers) -> str:
    """The first tensor of the program that is not what the chain of layers gives."""
    for feed in seen.detailed:
        values = parts.chained(feed)
        answers = seen.compiled.run(device_feed(seen.compiled, feed), intermediates=True)
        for name, value in answers.items():
            other = values.get(name)
            if other is None or other.dtype.kind not in "iu" or value.dtype.kind not in "iu":
                continue
            if not np.array_equal(value.astype(np.int64),
                                  other.reshape(value.shape).astype(np.int64)):
                return f"; the first tensor that differs: {name}"
    return ""

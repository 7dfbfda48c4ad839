"""End to end: each output against onnxruntime's."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.comparison import difference, sqnr_db
from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence
from ternc.validation.limits import Limits

Array = npt.NDArray[np.generic]

FLOAT_LIMIT: Final = 1e-5  # of the largest value of an output and sample
TIE_STEPS: Final = 2.0  # scores closer than this many quantization steps are a tie
_POINTS: Final = 400
SIGNAL_DB: Final = 20.0  # of a quantized model against itself: only roundings differ


def whole(seen: Evidence, limits: Limits) -> list[Check]:
    """The checks of each output."""
    checks = []
    for name in seen.expected[0]:
        if not seen.quantized:
            checks.append(_floats(seen, name))
        if seen.quantized or limits.min_sqnr is not None or limits.min_agreement is not None:
            checks += _quantized(seen, name, limits)
    return checks


def points(seen: Evidence) -> dict[str, tuple[list[float], list[float]]]:
    """Of each output, evenly picked elements over all samples: onnxruntime's and the program's."""
    found = {}
    for name in seen.expected[0]:
        wanted = np.concatenate([run[name].reshape(-1) for run in seen.expected])
        answer = np.concatenate([run[name].reshape(-1) for run in seen.found])
        picked = np.linspace(0, len(wanted) - 1, min(_POINTS, len(wanted))).astype(np.intp)
        found[name] = ([float(v) for v in wanted[picked]], [float(v) for v in answer[picked]])
    return found


def _floats(seen: Evidence, name: str) -> Check:
    far = max(difference(b[name], a[name])[0]
              for a, b in zip(seen.expected, seen.found, strict=True))
    integer = seen.expected[0][name].dtype.kind != "f"
    limit = 0.0 if integer else FLOAT_LIMIT
    return Check(
        f"agreement of {name}", held(far <= limit),
        f"worst {'difference' if integer else 'relative error'} {far:.3g}, limit {limit:g}; "
        f"{seen.source}", far, limit)


def _quantized(seen: Evidence, name: str, limits: Limits) -> list[Check]:
    """Against a float source, without a limit of the user's, the figures are information."""
    wanted = np.stack([run[name].reshape(-1) for run in seen.expected])
    answer = np.stack([run[name].reshape(-1) for run in seen.found])
    checks = []
    inputs = {port.shape for port in seen.compiled.program.inputs}
    classifier = is_classifier(seen.expected[0][name], inputs)
    if classifier:
        checks.append(_top1(seen, name, wanted, answer, limits.min_agreement))
    signal = sqnr_db(answer, wanted)
    limit = limits.min_sqnr
    if limit is None and seen.same_numbers and seen.quantized:
        limit = SIGNAL_DB
    checks.append(Check(
        f"signal to noise of {name}", held(limit is None or signal >= limit,
                                           limited=limit is not None),
        f"{'equal' if math.isinf(signal) else f'{signal:.1f} dB'}"
        f"{'' if limit is None else f', limit {limit:g}'}"
        f"{'' if seen.same_numbers else ', from the float model'}; {seen.source}", signal, limit))
    return checks


def _top1(
    seen: Evidence, name: str, wanted: Array, answer: Array, limit: float | None
) -> Check:
    scales = {port.name: port.scale for port in seen.compiled.program.outputs}
    integer = wanted.dtype.kind != "f"
    step = 1.0 if integer else scales.get(name) or float(np.abs(wanted).max()) / 256
    wrong, ties = disagreements(answer, wanted, TIE_STEPS * step)
    agree = 1 - (wrong + ties) / len(wanted)
    against = "" if seen.same_numbers else " with the float model"
    if limit is not None:
        verdict, said = held(agree >= limit), f", limit {100 * limit:g} %"
    elif seen.same_numbers:
        verdict, said, limit = held(wrong == 0), "", 1.0
    else:
        verdict, said = Verdict.INFORMATION, ""
    return Check(
        f"top-1 of {name}", verdict,
        f"{100 * agree:.2f} % agree{against}{said}, {ties} of the others are ties; {seen.source}",
        float(agree), limit)


def is_classifier(output: Array, inputs: set[tuple[int, ...]]) -> bool:
    """Whether the output looks like scores; one with an input's shape is a reconstruction."""
    if output.shape in inputs:
        return False
    return output.size > 2 and output.ndim <= 2 and output.shape[-1] == output.size


def disagreements(answer: Array, wanted: Array, tie: float) -> tuple[int, int]:
    """(samples of another class, samples of another class whose scores are a tie)."""
    rows = np.arange(len(wanted))
    chosen, right = answer.argmax(axis=1), wanted.argmax(axis=1)
    real = wanted.astype(np.float64)
    margin = real[rows, right] - real[rows, chosen]
    differs = chosen != right
    return int((differs & (margin > tie)).sum()), int((differs & (margin <= tie)).sum())

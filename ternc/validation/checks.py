"""What a validation is made of: checks with their verdicts, and the report of them all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from ternc.diagnostics import Diagnostic

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.layerwise import LayerResult
    from ternc.validation.along import TensorResult
    from ternc.validation.ranges import TensorRange
    from ternc.validation.weights import WeightResult


class Verdict(Enum):
    """What a check found; only FAILED fails a validation, and SKIPPED never counts as passed."""

    PASSED = "ok"
    FAILED = "FAILED"
    INFORMATION = "info"
    SKIPPED = "skipped"


class Stage(Enum):
    """What a failed check means; the value is the exit code."""

    COMPILES = 1
    FITS = 3
    ANSWERS = 4


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its figure, the limit that it was held against, and lines of detail.

    `limit` is None where there is none; `notes` are printed below the line.
    """

    name: str
    verdict: Verdict
    detail: str
    value: float | None = None
    limit: float | None = None
    stage: Stage = Stage.ANSWERS
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; a skipped check did not pass."""
        return self.verdict in (Verdict.PASSED, Verdict.INFORMATION)

    @property
    def failed(self) -> bool:
        """Whether it fails the validation."""
        return self.verdict is Verdict.FAILED

    def to_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return {
            "name": self.name, "verdict": self.verdict.name.lower(), "passed": self.passed,
            "detail": self.detail, "value": json_number(self.value),
            "limit": json_number(self.limit), "notes": list(self.notes),
        }


def held(passed: bool, *, limited: bool = True) -> Verdict:
    """PASSED or FAILED, INFORMATION where there is no limit."""
    if not limited:
        return Verdict.INFORMATION
    return Verdict.PASSED if passed else Verdict.FAILED


@dataclass(frozen=True, slots=True)
class Report:
    """All checks that could be made; a model that does not compile has only the first ones.

    Behind the checks are the figures: of each weight tensor, of each layer alone, of each tensor
    along the program, and of the range of each quantized tensor. `points` holds some values of
    each output, onnxruntime's and the program's; `compiled` is None where there is no program.
    """

    model: str
    target: str
    checks: tuple[Check, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    weights: tuple[WeightResult, ...] = ()
    layers: tuple[LayerResult, ...] = ()
    tensors: tuple[TensorResult, ...] = ()
    ranges: tuple[TensorRange, ...] = ()
    points: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    compiled: CompiledModel | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.failed for check in self.checks)

    @property
    def exit_code(self) -> int:
        """What `ternc validate` exits with: 0, 1 not compiled, 3 does not fit, 4 disagrees."""
        return min((check.stage.value for check in self.checks if check.failed), default=0)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "model": self.model, "target": self.target, "passed": self.passed,
            "exit_code": self.exit_code,
            "checks": [check.to_dict() for check in self.checks],
            "weights": [item.to_dict() for item in self.weights],
            "layers": [item.to_dict() for item in self.layers],
            "tensors": [item.to_dict() for item in self.tensors],
            "ranges": [item.to_dict() for item in self.ranges],
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }


def disagreement(checks: Sequence[Check]) -> tuple[Diagnostic, ...]:
    """The diagnostic of a model whose answers, or whose limits, failed a check."""
    failed = [check for check in checks if check.failed and check.stage is Stage.ANSWERS]
    if not failed:
        return ()
    return (Diagnostic(
        "TC0501", f"{len(failed)} checks failed: {', '.join(check.name for check in failed)}",
        notes=(f"{failed[0].name}: {failed[0].detail}",),
        help="`ternc explain TC0501` says what each means; --report draws where it begins"),)


def json_number(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is None or math.isfinite(value) else None

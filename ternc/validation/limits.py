"""What a validation must hold: the thresholds that a user may set."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ternc.diagnostics import Diagnostic, UsageError

_SHARES = ("min_agreement", "min_accuracy", "max_saturation")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds; None leaves the default of the check, or makes it information.

    Attributes:
        min_agreement: share of samples with onnxruntime's class; ties do not count as agreement.
        min_sqnr: dB of each output against onnxruntime.
        min_layer_sqnr: dB of each tensor along the program.
        min_accuracy: share of right answers, with labels.
        max_accuracy_drop: points below the source model's accuracy; 2 (or one sample).
        max_saturation: share of a tensor's values beyond its quantized range; 0.05 for a model
            that is quantized here.
        max_latency_ms: of one run, whatever the basis of the figure.
        max_arena: bytes.
        max_flash: bytes.
        max_stack: bytes, where it was measured.
    """

    min_agreement: float | None = None
    min_sqnr: float | None = None
    min_layer_sqnr: float | None = None
    min_accuracy: float | None = None
    max_accuracy_drop: float | None = None
    max_saturation: float | None = None
    max_latency_ms: float | None = None
    max_arena: int | None = None
    max_flash: int | None = None
    max_stack: int | None = None

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            if value is None:
                continue
            if not value >= 0 and not name.endswith("sqnr"):
                raise _usage(f"{name}={value!r} is below zero")
            if name in _SHARES and not value <= 1:
                raise _usage(f"{name}={value!r} is no share from 0 to 1",
                             "0.98, or 98% on the command line")


NAMES = tuple(field.name for field in fields(Limits))


def taken_from(options: dict[str, Any]) -> Limits:
    """The limits among keyword arguments, which they are taken out of.

    Raises:
        UsageError: a limit is below zero, or a share above one.
    """
    return Limits(**{name: options.pop(name) for name in NAMES if name in options})


def _usage(message: str, help: str = "") -> UsageError:
    return UsageError((Diagnostic("TC0403", message, help=help),))

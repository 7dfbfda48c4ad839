"""`validate()`: makes every check, in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ternc.diagnostics import CompileError
from ternc.validation.answers import agreement
from ternc.validation.checks import Report
from ternc.validation.data import feeds
from ternc.validation.model import compiles, fits, refusals

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.feeds import Data
    from ternc.frontend import Source


def validate(
    model: Source, target: str = "esp32", data: Data | None = None, *,
    labels: str | os.PathLike[str] | npt.ArrayLike | None = None, samples: int | None = None,
    seed: int = 0, progress: Callable[[int, int | None], None] | None = None, **options: Any,
) -> Report:
    """Compiles a model and compares it with onnxruntime.

    A float program must agree within 1e-5 of each output's largest value. A quantized one is
    compared layer by layer (`ternc.layerwise`, within 1), and as a whole: the same class on all
    but ties for a classifier, 20 dB of signal to noise otherwise; for a float model that was
    quantized here, both are against the float model and for information. With labels, accuracy may
    drop by 2 percentage points from the source model's, or by one sample if that is more.

    Args:
        model: as for `ternc.compile`.
        target: a name that `ternc targets` lists.
        data: samples in any form that calibration data may have; without, seeded noise.
        labels: class numbers, one a sample, or a .npy file of them; `labels` in the data serves.
        samples: how many to run; default all of the data, or 32 of noise.
        seed: of the noise.
        progress: called with (samples done, samples in all).
        **options: those of `ternc.compile`.

    Raises:
        UsageError: an option is not valid.
        CompileError: the data does not fit the model.
    """
    from ternc.backends.esp32.targets import target_named

    name = os.path.basename(model) if isinstance(model, (str, os.PathLike)) else "model"
    chip = target_named(target)
    options.pop("check_fit", None)
    ram, flash = options.pop("ram", None), options.pop("flash", None)
    made = _compile(model, target, options)
    if isinstance(made, CompileError):
        return Report(name, chip.name, tuple(refusals(made)), made.diagnostics)
    checks = [*compiles(made), *fits(made, ram, flash)]
    taken, found_labels = feeds(made, data, labels, samples, seed)
    checks += agreement(made, taken, found_labels, noise=data is None, progress=progress)
    return Report(name, chip.name, tuple(checks), tuple(made.diagnostics))



def _compile(model: Source, target: str, options: dict[str, Any]) -> CompiledModel | CompileError:
    from ternc.compiler import compile

    try:
        return compile(model, target, check_fit=False, **options)
    except CompileError as error:
        return error

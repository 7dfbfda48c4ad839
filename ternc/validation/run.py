"""`validate()`: makes every check, in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ternc.diagnostics import CompileError
from ternc.validation import memory
from ternc.validation.accuracy import accuracy
from ternc.validation.along import along
from ternc.validation.checks import Check, Report, Verdict, disagreement
from ternc.validation.data import feeds
from ternc.validation.emulated import Emulation, emulated
from ternc.validation.evidence import DETAILED, gather
from ternc.validation.layers import layers
from ternc.validation.limits import Limits, taken_from
from ternc.validation.model import compiles, refusals
from ternc.validation.passes import front_model, passes
from ternc.validation.program import program
from ternc.validation.ranges import ranges
from ternc.validation.weights import weights
from ternc.validation.whole import points, whole

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.emulation import EmulatorName
    from ternc.feeds import Data
    from ternc.frontend import Source


def validate(
    model: Source | CompiledModel, target: str = "esp32", data: Data | None = None, *,
    labels: str | os.PathLike[str] | npt.ArrayLike | None = None, samples: int | None = None,
    seed: int = 0, emulate: bool = False, toolchain: str | None = None,
    emulator: EmulatorName = "unicorn", max_instructions: int | None = None,
    progress: Callable[[int, int | None], None] | None = None, **options: Any,
) -> Report:
    """Compiles a model and compares it with onnxruntime.

    A float program must agree within 1e-5 of each output's largest value. A quantized one is
    compared layer by layer (`ternc.layerwise`: within 1, and rounded to the nearest), with its
    layers run one after the other (to the bit), and as a whole: the same class on all but ties for
    a classifier, 20 dB of signal to noise otherwise; for a float model that was quantized here,
    both are against the float model and for information. With labels, accuracy may drop by 2
    percentage points from the source model's, or by one sample if that is more.

    Args:
        model: as for `ternc.compile`, or what that returned.
        target: a name that `ternc targets` lists.
        data: samples in any form that calibration data may have; without, seeded noise.
        labels: class numbers, one a sample, or a .npy file of them; `labels` in the data serves.
        samples: how many to run; default all of the data, or 32 of noise. At most 64 of them are
            looked at in detail.
        seed: of the noise.
        emulate: also run the program on the emulated target, as `ternc.emulation.emulate` does,
            and compare its bytes with those of this machine.
        toolchain: see `ternc.emulation.emulate`, as for the next two.
        emulator: see there.
        max_instructions: see there.
        progress: called with (samples done, samples in all).
        **options: those of `ternc.compile`, and the limits: fields of `ternc.validation.Limits`.

    Raises:
        UsageError: an option is not valid.
        CompileError: the data does not fit the model.
        ToolError: a compiler or emulator is missing.
    """
    from ternc.backends.esp32.targets import target_named
    from ternc.compiled import CompiledModel

    limits = taken_from(options)
    emulation = Emulation(toolchain, emulator, max_instructions) if emulate else None
    options.pop("check_fit", None)
    ram, flash = options.pop("ram", None), options.pop("flash", None)
    if isinstance(model, CompiledModel):
        made: CompiledModel | CompileError = model
        name, chip = model.name, model.target
    else:
        name = os.path.basename(model) if isinstance(model, (str, os.PathLike)) else "model"
        chip = target_named(target)
        made = _compile(model, target, {"ram": ram, "flash": flash, **options})
    if isinstance(made, CompileError):
        return Report(name, chip.name, tuple(refusals(made)), made.diagnostics)
    front = front_model(made)
    weight_checks, weight_results = weights(made, front)
    fits = memory.fits(made, ram, flash)
    if not isinstance(model, CompiledModel):
        given = {"target": target, "ram": ram, "flash": flash, **options}
        fits = memory.with_changes(fits, model, made, given)
    static = [*compiles(made), *weight_checks, *fits,
              *memory.thresholds(made, limits), *program(made)]
    diagnostics = tuple(made.diagnostics)
    if any(check.failed and check.name == "program" for check in static):
        skipped = Check("agreement", Verdict.SKIPPED, "there is no program to run")
        return Report(name, chip.name, (*static, skipped),
                      (*diagnostics, *disagreement(static)), weights=weight_results,
                      compiled=made)
    taken, found_labels = feeds(made, data, labels, samples, seed)
    bar = _Progress(progress, len(taken))
    seen = gather(made, taken, found_labels, noise=data is None, progress=bar.stage(0))
    layer_checks, layer_results = layers(seen, bar.stage(len(taken)))
    along_checks, tensors = along(seen, limits, bar.stage(len(taken) + bar.detailed))
    range_checks, found_ranges = ranges(seen, limits)
    dynamic = [*passes(seen, front), *layer_checks, *along_checks, *whole(seen, limits),
               *accuracy(seen, limits), *range_checks, *emulated(made, seen, emulation),
               memory.latency(made, limits), memory.stack(made, limits)]
    diagnostics += disagreement((*static, *dynamic))
    return Report(name, chip.name, (*static, *dynamic), diagnostics, weight_results,
                  layer_results, tensors, found_ranges, points(seen), made)


@dataclass(frozen=True, slots=True)
class _Progress:
    """One count over all samples end to end, then twice over those looked at in detail."""

    report: Callable[[int, int | None], None] | None
    samples: int

    @property
    def detailed(self) -> int:
        return min(self.samples, DETAILED)

    def stage(self, before: int) -> Callable[[int], None]:
        """What a stage calls with how many samples it has done."""

        def done(count: int) -> None:
            if self.report is not None:
                self.report(before + count, self.samples + 2 * self.detailed)

        return done


def _compile(model: Source, target: str, options: dict[str, Any]) -> CompiledModel | CompileError:
    from ternc.compiler import compile

    try:
        return compile(model, target, check_fit=False, **options)
    except CompileError as error:
        return error


__all__ = ["Limits", "validate"]

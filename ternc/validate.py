"""`validate()`: proof, before anyone flashes a board, that a model deploys and answers right."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ternc.diagnostics import CompileError, Diagnostic, UsageError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ternc.compiled import CompiledModel
    from ternc.feeds import Data, Feed
    from ternc.frontend import Source
    from ternc.oracle import Oracle

Array = npt.NDArray[np.generic]
Runs = list[dict[str, Array]]

FLOAT_LIMIT: Final = 1e-5  # of the largest value of an output and sample
TIE_STEPS: Final = 2.0  # scores closer than this many quantization steps are a tie
SIGNAL_DB: Final = 20.0  # of a quantized model against itself: only roundings differ
ACCURACY_DROP: Final = 0.02  # from the source model's accuracy
_COMPILE_CHECKS: Final = ("onnx", "operators", "compiles")
_FIT_CHECKS: Final = ("fits RAM", "fits flash")


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `limit` is None where the figure is given for information only."""

    name: str
    passed: bool
    detail: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All checks that could be made; a model that does not compile has only the first ones."""

    model: str
    target: str
    checks: tuple[Check, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def exit_code(self) -> int:
        """What `ternc validate` exits with: 0, 1 not compiled, 3 does not fit, 4 disagrees."""
        failed = {check.name for check in self.checks if not check.passed}
        if failed & set(_COMPILE_CHECKS):
            return 1
        if failed & set(_FIT_CHECKS):
            return 3
        return 4 if failed else 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "model": self.model, "target": self.target, "passed": self.passed,
            "exit_code": self.exit_code,
            "checks": [
                {"name": c.name, "passed": c.passed, "detail": c.detail,
                 "value": _json_number(c.value), "limit": _json_number(c.limit)}
                for c in self.checks
            ],
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }


def _json_number(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is None or math.isfinite(value) else None


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
        return Report(name, chip.name, tuple(_refusals(made)), made.diagnostics)
    diagnostics = tuple(made.diagnostics)
    checks = [
        Check("onnx", True, "valid, with its repairs listed as warnings"),
        Check("operators", True,
              f"all supported, in {len(made.program.instructions)} instructions"),
        Check("compiles", True, f"for {chip.name}"),
        _fits("fits RAM", made.plan.arena_bytes, chip.sram_bytes if ram is None else ram),
        _fits("fits flash", made.flash_bytes, chip.flash_bytes if flash is None else flash),
    ]
    feeds, found_labels = _feeds(made, data, labels, samples, seed)
    checks += _agreement(made, feeds, found_labels, noise=data is None, progress=progress)
    return Report(name, chip.name, tuple(checks), diagnostics)


def _compile(model: Source, target: str, options: dict[str, Any]) -> CompiledModel | CompileError:
    from ternc.compiler import compile

    try:
        return compile(model, target, check_fit=False, **options)
    except CompileError as error:
        return error


def _refusals(error: CompileError) -> list[Check]:
    """The checks of a model that was refused, from the codes of its errors."""
    errors = [item for item in error.diagnostics if item.severity.value == "error"]
    families = {"onnx": ("TC00",), "operators": ("TC0101", "TC0102", "TC0104", "TC0105")}
    checks = []
    for name, codes in families.items():
        hits = [item.message for item in errors if item.code.startswith(codes)]
        if hits:
            checks.append(Check(name, False, "; ".join(hits)))
    if not checks:
        checks.append(Check("compiles", False, "; ".join(item.message for item in errors)))
    return checks


def _fits(name: str, needed: int, available: int) -> Check:
    return Check(name, needed <= available, f"{needed:,} of {available:,} bytes", needed,
                 available)


def _feeds(
    compiled: CompiledModel, data: Data | None, labels: object, samples: int | None, seed: int,
) -> tuple[list[Feed], Array | None]:
    from ternc.feeds import input_specs, random_feeds
    from ternc.feeds import samples as read

    specs = input_specs(compiled.model)
    if data is None:
        return list(random_feeds(specs, samples or 32, seed)), None
    known = read(data, specs)
    feeds = list(islice(known, samples))
    found = known.labels if labels is None else _labels(labels)
    if found is None:
        return feeds, None
    if found.ndim == 2 and found.shape[1] > 1:
        found = found.argmax(axis=1)  # one-hot
    found = found.reshape(-1)
    if len(found) < len(feeds):
        raise _data_error(f"{len(found)} labels for {len(feeds)} samples")
    return feeds, found[: len(feeds)]


def _labels(labels: object) -> Array:
    if not isinstance(labels, (str, os.PathLike)):
        return np.asarray(labels)
    try:
        loaded = np.load(labels, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _data_error(f"{os.fspath(labels)!r} cannot be read: {error}") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1 and "labels" not in loaded.files:
            raise _data_error(f"{os.fspath(labels)!r} holds {len(loaded.files)} arrays, none of "
                              "them named 'labels'")
        found: Array = loaded["labels" if "labels" in loaded.files else loaded.files[0]]
        return found


def _data_error(message: str) -> UsageError:
    help_ = "labels are one class number a sample"
    return UsageError((Diagnostic("TC0301", message, help=help_),))


# --- agreement -----------------------------------------------------------------------------------


def _agreement(
    compiled: CompiledModel, feeds: list[Feed], labels: Array | None, *, noise: bool,
    progress: Callable[[int, int | None], None] | None,
) -> list[Check]:
    oracle, what = _oracle(compiled, feeds[0])
    expected: Runs = []
    found: Runs = []
    for i, feed in enumerate(feeds):
        expected.append(oracle.run(feed))
        found.append(compiled.run(_device_feed(compiled, feed)))
        if progress is not None:
            progress(i + 1, len(feeds))
    source = f"{len(feeds)} samples of {'noise' if noise else 'the data'} against {what}"
    checks = []
    if not quantized(compiled.model):
        checks += _float_checks(expected, found, source)
    else:
        checks += _layer_checks(compiled, feeds)
        checks += _whole_checks(compiled, expected, found, source,
                                same_numbers=quantized_proto(compiled.source))
    if labels is not None:
        checks.append(_accuracy(expected, found, labels))
    return checks


def quantized(model: ir.Model) -> bool:
    """Whether any activation is quantized."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)


def quantized_proto(model: onnx.ModelProto) -> bool:
    """Whether a model as its user wrote it quantizes activations."""
    return any(node.op_type in ("QuantizeLinear", "Quant", "BipolarQuant")
               for node in model.graph.node)


def _oracle(compiled: CompiledModel, feed: Feed) -> tuple[Oracle, str]:
    """The model as given in onnxruntime, or, where that refuses it, what was made of it."""
    from ternc.oracle import Oracle, OracleError

    oracle = Oracle(compiled.source)
    try:
        oracle.run(feed)
    except OracleError:
        return Oracle(compiled.model), "onnxruntime on the imported model"
    return oracle, "onnxruntime"


def _device_feed(compiled: CompiledModel, feed: Feed) -> Feed:
    """A feed in the axis order that the program takes (`io_layout="nhwc"`)."""
    out = {}
    for port in compiled.program.inputs:
        array = feed[port.name]
        if array.shape != port.shape and array.ndim > 2:
            array = np.moveaxis(array, 1, -1)
        out[port.name] = array
    return out


def _matched(found: Array, wanted: Array) -> Array:
    """An answer in the oracle's axis order."""
    if found.shape != wanted.shape and found.ndim == wanted.ndim > 2:
        return np.moveaxis(found, -1, 1)
    return found.reshape(wanted.shape)


def _float_checks(expected: Runs, found: Runs, source: str) -> list[Check]:
    from ternc.layerwise import difference

    checks = []
    for name in expected[0]:
        far = max(difference(_matched(b[name], a[name]), a[name])[0]
                  for a, b in zip(expected, found, strict=True))
        integer = expected[0][name].dtype.kind != "f"
        limit = 0.0 if integer else FLOAT_LIMIT
        checks.append(Check(
            f"agreement of {name}", far <= limit,
            f"worst {'difference' if integer else 'relative error'} {far:.3g}, limit {limit:g}; "
            f"{source}", far, limit))
    return checks


def _layer_checks(compiled: CompiledModel, feeds: list[Feed]) -> list[Check]:
    from ternc.layerwise import check_layers

    results = check_layers(compiled.model, feeds)
    failed = [r for r in results if not r.passed]
    integers = [r for r in results if r.integer]
    worst = max((r.worst for r in integers), default=0.0)
    exact = sum(r.count - r.wrong for r in integers)
    total = sum(r.count for r in integers)
    detail = (f"{len(results)} layers, worst {worst:.0f}, limit 1; "
              f"{exact:,} of {total:,} integers equal")
    if failed:
        detail += "; failed: " + ", ".join(
            f"{r.name} ({'+'.join(r.op_types) or 'requantization'}): {r.worst:.3g}"
            for r in failed[:5])
    return [Check("layer by layer", not failed, detail, worst, 1.0)]


def _is_classifier(output: Array, inputs: set[tuple[int, ...]]) -> bool:
    """Whether the output looks like scores; one with an input's shape is a reconstruction."""
    if output.shape in inputs:
        return False
    return output.size > 2 and output.ndim <= 2 and output.shape[-1] == output.size


def _whole_checks(
    compiled: CompiledModel, expected: Runs, found: Runs, source: str, *, same_numbers: bool
) -> list[Check]:
    """End to end. Against a float source (`same_numbers` false) the figures are information."""
    from ternc.verify_passes import sqnr_db

    checks = []
    inputs = {port.shape for port in compiled.program.inputs}
    scales = {port.name: port.scale for port in compiled.program.outputs}
    for name in expected[0]:
        wanted = np.stack([run[name].reshape(-1) for run in expected])
        answer = np.stack([_matched(b[name], a[name]).reshape(-1)
                           for a, b in zip(expected, found, strict=True)])
        signal = sqnr_db(answer, wanted)
        if _is_classifier(expected[0][name], inputs):
            integer = wanted.dtype.kind != "f"
            step = 1.0 if integer else scales.get(name) or float(np.abs(wanted).max()) / 256
            wrong, ties = _top1(answer, wanted, TIE_STEPS * step)
            agree = 1 - (wrong + ties) / len(wanted)
            against = "" if same_numbers else " with the float model"
            checks.append(Check(
                f"top-1 of {name}", wrong == 0 or not same_numbers,
                f"{100 * agree:.2f} % agree{against}, {ties} of the others are ties; "
                f"{signal:.1f} dB; {source}", float(agree), 1.0 if same_numbers else None))
        else:
            limit = SIGNAL_DB if same_numbers else None
            checks.append(Check(
                f"signal to noise of {name}", limit is None or signal >= limit,
                f"{signal:.1f} dB, {f'limit {limit:.0f}' if limit else 'for information'}; "
                f"{source}", signal, limit))
    return checks


def _top1(answer: Array, wanted: Array, tie: float) -> tuple[int, int]:
    """(samples of another class, samples of another class whose scores are a tie)."""
    rows = np.arange(len(wanted))
    chosen, right = answer.argmax(axis=1), wanted.argmax(axis=1)
    real = wanted.astype(np.float64)
    margin = real[rows, right] - real[rows, chosen]
    differs = chosen != right
    return int((differs & (margin > tie)).sum()), int((differs & (margin <= tie)).sum())


def _accuracy(expected: Runs, found: Runs, labels: Array) -> Check:
    name = next(iter(expected[0]))

    def share(runs: Runs) -> float:
        if runs[0][name].size == 1:  # ArgMax inside the model, or one score
            answers = np.array([run[name].reshape(-1)[0] for run in runs])
            if answers.dtype.kind == "f":
                answers = (answers > 0.5).astype(np.int64)
        else:
            answers = np.array([run[name].reshape(-1).argmax() for run in runs])
        return float((answers == labels).mean())

    ours, theirs = share(found), share(expected)
    allowed = max(ACCURACY_DROP, 1 / len(labels))  # one sample of a few says nothing
    return Check("accuracy", ours >= theirs - allowed - 1e-9,
                 f"{100 * ours:.2f} %, the source model {100 * theirs:.2f} %; limit "
                 f"{100 * allowed:.0f} points below", ours, theirs - allowed)


def print_checks(report: Report, file: IO[str]) -> None:
    """A line for each check, then the verdict."""
    from ternc.console import coloured

    good, bad, plain = ("\x1b[32m", "\x1b[31m", "\x1b[0m") if coloured(file) else ("", "", "")
    width = max(len(check.name) for check in report.checks)
    print(f"{report.model} for {report.target}", file=file)
    for check in report.checks:
        mark = f"{good}ok{plain}    " if check.passed else f"{bad}FAILED{plain}"
        print(f"  {mark}  {check.name:{width}}  {check.detail}", file=file)
    failed = sum(not check.passed for check in report.checks)
    print(f"{bad}{failed} of {len(report.checks)} checks failed{plain}" if failed else
          f"{good}all {len(report.checks)} checks passed{plain}", file=file)

"""The answers against onnxruntime's: layer by layer, end to end, and against labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ternc.validation.checks import Check, held

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ternc.compiled import CompiledModel
    from ternc.feeds import Feed
    from ternc.oracle import Oracle

Array = npt.NDArray[np.generic]
Runs = list[dict[str, Array]]

FLOAT_LIMIT: Final = 1e-5  # of the largest value of an output and sample
TIE_STEPS: Final = 2.0  # scores closer than this many quantization steps are a tie
SIGNAL_DB: Final = 20.0  # of a quantized model against itself: only roundings differ
ACCURACY_DROP: Final = 0.02  # from the source model's accuracy


def agreement(
    compiled: CompiledModel, feeds: list[Feed], labels: Array | None, *, noise: bool,
    progress: Callable[[int, int | None], None] | None,
) -> list[Check]:
    """Everything that is compared with onnxruntime, layer by layer and end to end."""
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
            f"agreement of {name}", held(far <= limit),
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
    return [Check("layer by layer", held(not failed), detail, worst, 1.0)]


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
                f"top-1 of {name}", held(wrong == 0, limited=same_numbers),
                f"{100 * agree:.2f} % agree{against}, {ties} of the others are ties; "
                f"{signal:.1f} dB; {source}", float(agree), 1.0 if same_numbers else None))
        else:
            limit = SIGNAL_DB if same_numbers else None
            checks.append(Check(
                f"signal to noise of {name}",
                held(limit is None or signal >= limit, limited=limit is not None),
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
    return Check("accuracy", held(ours >= theirs - allowed - 1e-9),
                 f"{100 * ours:.2f} %, the source model {100 * theirs:.2f} %; limit "
                 f"{100 * allowed:.0f} points below", ours, theirs - allowed)

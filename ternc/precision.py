"""Which weights and activations become what, and doing it: everything lossy happens here.

In this order: mixed precision chooses, weights become ternary (by reconstruction with data, by
weight error without), then activations become int8 (static with data, dynamic on request), and
the weights that are left int8 or stay float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from ternc.diagnostics import Diagnostics, UsageError, did_you_mean
from ternc.quantize import SCHEMES

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.mixed.result import MixedPrecision, Objective
    from ternc.mixed.search import Price
    from ternc.passes._quantization_plan import Widths
    from ternc.reconstruction.reconstruct import Memo

Progress = Callable[[int, "int | None"], None]
ACTIVATIONS: Final = ("auto", "float32", "int8", "int16", "dynamic")
WEIGHTS: Final = ("auto", "ternary", "int8", "float32")
KEPT: Final = ("float32", "int8", "int16", "ternary")
RECONSTRUCT: Final = "reconstruct"
_OTHER: Final = {"W": "R", "R": "W"}  # weights of a recurrent node, which are named by themselves
_HELD: Final = 1024  # samples of an iterator that are kept in memory, and that a fit looks at


@dataclass(frozen=True, slots=True)
class Precision:
    """What the user asked for; `ternarize` is None, "auto" or the name of a scheme.

    `minimize` is what a limit on the loss is spent on, "flash" or "latency".
    """

    activations: str = "auto"
    weights: str = "auto"
    ternarize: str | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    max_drop: float | None = None
    method: str = "minmax"
    minimize: Objective = "flash"

    def kept(self, precision: str) -> frozenset[str]:
        """The nodes that the user fixed to `precision`."""
        return frozenset(node for node, kept in self.keep.items() if kept == precision)

    @property
    def ternary_nodes(self) -> frozenset[str] | None:
        """The nodes to make ternary, None for all that are not kept."""
        everything = self.ternarize is not None or self.weights == "ternary"
        return None if everything else self.kept("ternary")

    @property
    def reads_again(self) -> bool:
        """Whether samples are read more than once."""
        return self.ternary_nodes != frozenset() or self.max_drop is not None

    @property
    def not_ternary(self) -> frozenset[str]:
        """The nodes that must not become ternary, or n.W and n.R of a recurrent node n."""
        names = self.kept("float32") | self.kept("int8")
        for part in self.kept("ternary"):
            node, dot, letter = part.rpartition(".")
            if dot and letter in _OTHER and node in names:
                names = names - {node} | {f"{node}.{_OTHER[letter]}"}
        return names

    def loses(self, *, data: bool, quantized: bool) -> bool:
        """Whether anything lossy is asked for."""
        return (self.ternary_nodes != frozenset() or bool(self.kept("int8"))
                or self.weights == "int8" or self.activations == "dynamic"
                or self.static(data=data, quantized=quantized))

    def static(self, *, data: bool, quantized: bool) -> bool:
        """Whether activations become integers with the ranges seen in calibration."""
        return (data and not quantized and self.activations in ("auto", "int8", "int16")
                and self.weights != "float32")

    @property
    def widths(self) -> Widths:
        """Bits of the integer activations."""
        from ternc.passes._quantization_plan import Widths

        return Widths(16 if self.activations == "int16" else 8, self.kept("int8"),
                      self.kept("int16"))


def checked(precision: Precision, model: ir.Model, *, data: bool, quantized: bool) -> None:
    """Refuses options that contradict each other, the data or the model.

    Raises:
        UsageError: every such option is in its diagnostics.
    """
    from ternc.calibrate import METHODS
    from ternc.mixed.result import OBJECTIVES
    from ternc.passes._linear import weight_slots

    problems = Diagnostics()
    for name, value, allowed in (
        ("activations", precision.activations, ACTIVATIONS),
        ("weights", precision.weights, WEIGHTS),
        ("calibration method", precision.method, METHODS),
        ("ternarize", precision.ternarize or "auto", schemes()),
        ("minimize", precision.minimize, OBJECTIVES),
    ):
        if value not in allowed:
            problems.error("TC0403", f"{name}={value!r} is not one of {', '.join(allowed)}")
    _check_combination(precision, problems, data=data, quantized=quantized)
    known = {node.name for node in model.graph}
    parts = {slot.name for node in model.graph for slot in weight_slots(node)} - known
    for node, kept in sorted(precision.keep.items()):
        if node in parts and kept not in ("int8", "ternary"):
            problems.error("TC0403", f"{node!r} are weights: they cannot be kept as {kept!r}",
                           help=f"only as int8 or ternary; --keep {kept}:{node[:-2]} is of the "
                           "whole layer")
        elif kept not in KEPT:
            problems.error("TC0403", f"a layer cannot be kept as {kept!r}",
                           help=f"only as {', '.join(KEPT)}")
        if node not in known | parts:
            problems.error("TC0403", f"no node is named {node!r}",
                           help=f"{did_you_mean(node, filter(None, known | parts))}"
                           "`ternc inspect` lists the nodes")
    if problems.errors:
        raise UsageError(tuple(problems))


def _check_combination(
    precision: Precision, problems: Diagnostics, *, data: bool, quantized: bool
) -> None:
    calibrate = "pass --calibration samples.npz (32 to 256 real samples)"
    if precision.activations in ("int8", "int16"):
        if not (quantized or data):
            problems.error("TC0403", f"{precision.activations} activations need calibration data",
                           help=calibrate)
        if precision.weights == "float32":
            problems.error(
                "TC0403", f"{precision.activations} activations have no kernel with float32 "
                "weights", help="use --weights int8, or leave --activations out")
    elif precision.kept("int16") and not data:
        problems.error("TC0403", "a layer with int16 activations needs calibration data",
                       help=calibrate)
    elif precision.kept("int16") and (
            precision.activations != "auto" or precision.weights == "float32"):
        what = "weights" if precision.weights == "float32" else "activations"
        value = precision.weights if what == "weights" else precision.activations
        problems.error("TC0403", f"--keep int16 contradicts --{what} {value}",
                       help=f"leave --{what} out: the other layers become int8")
    if quantized and (precision.activations in ("float32", "int16") or precision.kept("int16")):
        problems.error(
            "TC0403", "the model is quantized (it has QuantizeLinear): it runs as it says",
            help="compile the float model that it was made from")
    if precision.activations == "dynamic" and (quantized or data):
        why = "the model is quantized already" if quantized else "calibration data is given"
        problems.error("TC0403", f"dynamic activations are for want of ranges, and {why}",
                       help="leave --activations out")
    if precision.ternarize == RECONSTRUCT and not data:
        problems.error("TC0403", "reconstruction needs calibration data", help=calibrate)
    wants_ternary = precision.ternarize is not None or precision.weights == "ternary"
    if precision.weights in ("int8", "float32") and precision.ternarize is not None:
        problems.error("TC0403", f"--weights {precision.weights} contradicts --ternarize",
                       help=f"keep single layers with --keep {precision.weights}:NODE")
    if precision.max_drop is None:
        return
    if not data:
        problems.error("TC0403", "a limit on the loss needs data to measure it", help=calibrate)
    if not precision.max_drop >= 0.0:
        problems.error("TC0403", f"the limit on the loss is {precision.max_drop}",
                       help="give points of accuracy, or dB without labels; 1.0 is usual")
    if quantized:
        problems.error("TC0403", "mixed precision starts from a float model, and this one is "
                                 "quantized", help="compile the model that it was made from")
    if precision.weights in ("int8", "float32") or (wants_ternary and precision.weights != "auto"):
        problems.error("TC0403", "a limit on the loss chooses the weights of each layer: "
                                 f"--weights {precision.weights} leaves no choice",
                       help="leave --weights out; --keep fixes single layers")


def apply(
    model: ir.Model, precision: Precision, diagnostics: Diagnostics, data: Samples | None = None,
    *, labels: Any = None, evaluation: Samples | None = None, quantized: bool = False,
    price: Callable[[ir.Model], Price] | None = None, memo: Memo | None = None,
    folded: dict[str, str] | None = None, progress: Progress | None = None,
) -> MixedPrecision | None:
    """Quantizes `model` in place, as `precision` says; what mixed precision found, if it ran.

    `price` is asked of mixed precision alone; `memo` holds fits of layers to the same data;
    `folded` gets the tensors that are the model's no more.

    Raises:
        CompileError: the data does not fit, or the limit on the loss cannot be held.
    """
    nodes, mixed = precision.ternary_nodes, None
    if not quantized and (nodes != frozenset() or precision.max_drop is not None):
        from ternc.passes.restore_weights import RestoreWeights

        chosen = None if precision.max_drop is not None else nodes
        RestoreWeights(chosen, precision.not_ternary)(model)
    if precision.max_drop is not None:
        from ternc.mixed.choose import choose
        from ternc.passes.split_channels import SplitChannels

        assert data is not None
        assert price is not None
        mixed = choose(model, precision, data, price=price, labels=labels, evaluation=evaluation,
                       diagnostics=diagnostics, progress=progress)
        SplitChannels(mixed.splits, folded)(model)
        nodes = frozenset(mixed.chosen.ternary)
        precision = replace(precision, keep={
            **precision.keep, **dict.fromkeys(mixed.chosen.int16, "int16")})
    ternarize(model, precision, diagnostics, data, nodes, memo, progress)
    if precision.static(data=data is not None, quantized=quantized):
        assert data is not None
        quantize_static(model, data, precision, diagnostics, progress)
    elif precision.activations == "dynamic":
        from ternc.passes.quantize_dynamic import QuantizeDynamic

        QuantizeDynamic(precision.kept("float32"))(model)
    elif not quantized:
        _quantize_weights(model, precision)
    diagnostics.raise_errors()
    return mixed


def ternarize(
    model: ir.Model, precision: Precision, diagnostics: Diagnostics, data: Samples | None,
    nodes: frozenset[str] | None, memo: Memo | None = None, progress: Progress | None = None,
) -> None:
    """Makes the weights of `nodes` ternary (None: of all that are not kept)."""
    from ternc.passes.ternarize import Ternarize, float_slots

    keep = precision.not_ternary
    if nodes == frozenset() or not any(float_slots(model, nodes, keep)):
        return
    scheme = precision.ternarize if precision.ternarize in SCHEMES else None
    if data is not None and scheme is None:
        from ternc.reconstruction.reconstruct import reconstruct

        reconstruct(model, list(islice(data, _HELD)) if data.count is None else Head(data),
                    diagnostics, nodes=nodes, keep=keep, fixed=precision.kept("float32"),
                    memo=memo, progress=progress)
        return
    if data is None:
        diagnostics.note(
            "TC0205", f"without data the weights become ternary by scheme {scheme or 'optimal'}",
            notes=("each weight counts alike, whatever the layer's inputs are",),
            help="calibration data (32 to 256 real samples) lets each layer be fitted to its "
                 "output, which loses far less")
    Ternarize(diagnostics, scheme or "optimal", nodes, keep)(model)


@dataclass(frozen=True, slots=True)
class Head:
    """The first samples of data that can be read again and again."""

    data: Samples

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return islice(iter(self.data), _HELD)


def held(data: Samples, diagnostics: Diagnostics) -> Samples:
    """`data` that can be read again: samples of unknown number are read into memory once."""
    from ternc.feeds import Samples as Kind

    if data.count is not None:
        return data
    kept = list(islice(data, _HELD + 1))
    if len(kept) > _HELD:
        kept.pop()
        diagnostics.note(
            "TC0302", f"of an iterator, the first {_HELD:,} samples are used",
            notes=("fitting layers reads the samples again and again, so they stay in memory",),
            help="pass an array, a .npz or a folder to use all of them")
    return Kind(lambda: iter(kept), len(kept), data.labels)


def quantize_static(
    model: ir.Model, data: Samples, precision: Precision, diagnostics: Diagnostics,
    progress: Progress | None = None,
) -> None:
    """Integer activations with the ranges of `data`, int8 weights where they are float."""
    from ternc.calibrate import calibrate
    from ternc.passes.quantize import Quantize, tensors_to_observe

    keep_float = precision.kept("float32")
    observed = tensors_to_observe(model, keep_float)
    method = precision.method
    ranges = calibrate(model, data, observed, method, progress=progress)  # type: ignore[arg-type]
    names = [value.name or "" for value in model.graph.inputs]
    fed = [ranges[name] for name in names if name in ranges]
    if fed and not any(low or high for low, high in fed):
        diagnostics.error(
            "TC0301", f"the calibration data is 0 throughout its {ranges.samples} samples: no "
            "range follows from it", help="give 32 to 256 real samples, as the model will see")
    Quantize(ranges, diagnostics, keep_float, precision.widths)(model)
    diagnostics.raise_errors()


def _quantize_weights(model: ir.Model, precision: Precision) -> None:
    from ternc.passes.quantize_weights import QuantizeWeights

    if precision.weights == "int8":
        QuantizeWeights(keep=precision.kept("float32"))(model)
    elif precision.kept("int8"):
        QuantizeWeights(precision.kept("int8"))(model)


def schemes() -> tuple[str, ...]:
    """What `ternarize` may be."""
    return ("auto", RECONSTRUCT, *SCHEMES)


def scheme_name(value: bool | str | None) -> str | None:
    """The argument `ternarize` of `compile`: True is "auto", False and None are no."""
    if isinstance(value, bool) or value is None:
        return "auto" if value else None
    return value



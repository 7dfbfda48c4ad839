"""What was taken for want of data, and what data would change: a note for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes.ternarize import float_slots

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.precision import Precision

FEW: Final = 32  # samples below which ranges are often exceeded in use
_GOOD: Final = "32 to 256 real samples"


def tell_defaults(
    precision: Precision, model: ir.Model, diagnostics: Diagnostics, *, data: Samples | None,
    evaluation: Samples | None, labels: Any, quantized: bool, fpu: bool,
) -> None:
    """Adds notes TC0211; `model` is as the front passes leave it.

    What ternary weights lack is said where they are made (TC0205), and what float32 costs
    without a floating-point unit where it is counted (TC0204).
    """
    if data is None:
        usual = precision.activations == "auto" and precision.weights == "auto"
        lossless = precision.ternary_nodes == frozenset() and not precision.kept("int8")
        if usual and lossless and fpu and not quantized and any(float_slots(model)):
            diagnostics.note(
                "TC0211", "without calibration data weights and activations stay float32",
                help=f"{_GOOD} (--calibration) make them int8: about a quarter of the flash, the "
                     "RAM and the time")
        return
    if precision.static(data=True, quantized=quantized) and data.count is not None \
            and data.count < FEW:
        diagnostics.note(
            "TC0211", f"the ranges of activations come from {data.count} samples",
            notes=("what lies beyond them in use saturates",),
            help=f"{_GOOD} show nearly all of what a tensor holds")
    if precision.max_drop is None:
        return
    source = data if evaluation is None else evaluation
    if labels is None and source.labels is None:
        diagnostics.note(
            "TC0211", f"without labels, at most {precision.max_drop:g} dB of output SQNR may be "
            "lost against int8 weights",
            help="with labels (--labels, or 'labels' in the data) the limit is points of accuracy "
                 "against the float model; --labels model counts answers that change")
    if evaluation is None:
        diagnostics.note(
            "TC0211", "without data to measure on, every other calibration sample is held out",
            help="with --data the loss is measured on samples of its own, and all of the "
                 "calibration data is fitted to")

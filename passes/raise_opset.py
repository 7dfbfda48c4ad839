"""One operator set for every pass that follows."""

from __future__ import annotations

from typing import ClassVar, Final

import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._convert import CannotConvertError, convert_opset
from ternc.passes._graph import opset

MINIMUM: Final = 21  # the first with int16 and blocked Quantize- and DequantizeLinear


class RaiseOpset(ir.passes.FunctionalPass):
    """opset := max(opset, 21), every operator adapted to its newer definition.

    Applies to models below opset 21. Must not lower an opset: a newer model stays as it is.
    Where onnx's converter has no rule, the model is left alone and TC0102 says why.
    """

    name: ClassVar[str] = "raise_opset"

    def __init__(self, diagnostics: Diagnostics, minimum: int = MINIMUM) -> None:
        self.diagnostics = diagnostics
        self.minimum = minimum

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Returns the raised model, or `model` itself when there is nothing to raise."""
        version = opset(model)
        if version >= self.minimum:
            return ir.passes.PassResult(model.clone(), modified=False)
        try:
            return ir.passes.PassResult(convert_opset(model, self.minimum), modified=True)
        except CannotConvertError as error:
            self.diagnostics.error(
                "TC0102", f"opset {version} cannot be raised to {self.minimum}: {error}",
                help=f"export the model again with opset {self.minimum} or newer")
            return ir.passes.PassResult(model.clone(), modified=False)

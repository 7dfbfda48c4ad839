"""What can be computed now is not computed on the device."""

from __future__ import annotations

import logging
from typing import ClassVar, Final

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants

# elements; onnxscript's own limits leave weights above 8192 elements unfolded
_NO_LIMIT = 1 << 30
# says which nodes it leaves, which other passes may well compute
_LOGGER: Final = logging.getLogger("onnxscript.optimizer")


class FoldConstants(ir.passes.InPlacePass):
    """f(constants) → constant, for weights of any size.

    Applies to every node whose inputs are constants, QuantizeLinear and Clip of weights
    included, so that float weight → QuantizeLinear → Clip → DequantizeLinear becomes integer
    initializer → DequantizeLinear.

    ConstantOfShape too, which onnxscript leaves alone: PyTorch writes `x.new_zeros(...)` so.

    Must not fold DequantizeLinear: it is the form in which quantized weights are kept.
    """

    name: ClassVar[str] = "fold_constants"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Folds with onnxscript's folder and lifts what it leaves as Constant nodes."""
        level = _LOGGER.level
        _LOGGER.setLevel(logging.ERROR)
        try:
            result = fold_constants(model, onnx_shape_inference=True, input_size_limit=_NO_LIMIT,
                                    output_size_limit=_NO_LIMIT, should_fold=_should_fold)
        finally:
            _LOGGER.setLevel(level)
        modified = bool(result.modified)
        lift = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
        modified |= bool(lift(model).modified)
        modified |= bool(common.RemoveUnusedNodesPass()(model).modified)
        return ir.passes.PassResult(model, modified)


def _should_fold(node: ir.Node) -> bool | None:
    if node.op_type in ("QuantizeLinear", "Clip", "ConstantOfShape"):
        return True
    return False if node.op_type == "DequantizeLinear" else None

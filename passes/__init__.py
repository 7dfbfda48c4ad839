"""ONNX in, ONNX out: the passes, in the order in which they run.

Every pass leaves a model that onnxruntime runs with the same answer (QONNX's own operators
excepted, which onnxruntime does not know). Modules whose name starts with an underscore hold what
passes share.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes.check_model import CheckModel
from ternc.passes.detect_ternary import DetectTernary
from ternc.passes.expand_functions import ExpandFunctions
from ternc.passes.expand_lp_normalization import ExpandLpNormalization
from ternc.passes.fix_shapes import FixShapes
from ternc.passes.fold_batchnorm import FoldBatchNorm
from ternc.passes.fold_compress import FoldCompress
from ternc.passes.fold_constants import FoldConstants
from ternc.passes.fold_input import FoldInput
from ternc.passes.fold_pad import FoldPad
from ternc.passes.hoist_layout import HoistLayout
from ternc.passes.import_fake_quant import ImportFakeQuant
from ternc.passes.import_matmul_nbits import ImportMatMulNBits
from ternc.passes.import_qonnx import ImportQonnx
from ternc.passes.import_qoperators import ImportQOperators
from ternc.passes.infer_shapes import InferShapes
from ternc.passes.normalise_dynamic import NormaliseDynamic
from ternc.passes.normalise_groups import NormaliseGroups
from ternc.passes.quantize_behind_layout import QuantizeBehindLayout
from ternc.passes.raise_opset import RaiseOpset
from ternc.passes.raise_recurrence import RaiseRecurrence
from ternc.passes.remove_channels import RemoveChannels
from ternc.passes.repair import Repair
from ternc.passes.simplify import Simplify
from ternc.passes.split_variadic import SplitVariadic


def front(
    diagnostics: Diagnostics,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    folded: dict[str, str] | None = None,
) -> tuple[ir.passes.PassBase, ...]:
    """The passes from a user's model to a normalised one with ternary weights, in order.

    Args:
        diagnostics: Where the passes report; look at it after each, an error may make the next
            pass pointless.
        shapes: Sizes for inputs whose shape is dynamic, by input name.
        folded: Filled with the names of absorbed nodes and tensors and what absorbed them.
    """
    folded = folded if folded is not None else {}
    return (
        Repair(diagnostics),
        common.InlinePass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveInitializersFromInputsPass(),
        RaiseOpset(diagnostics),
        ImportQonnx(diagnostics),
        ImportMatMulNBits(diagnostics),
        ImportQOperators(diagnostics),
        FixShapes(diagnostics, shapes),
        ExpandFunctions(),
        ImportFakeQuant(),
        FoldConstants(),
        FoldCompress(),
        SplitVariadic(),
        ExpandLpNormalization(),
        Simplify(),
        NormaliseGroups(),
        RaiseRecurrence(diagnostics),
        InferShapes(diagnostics),
        CheckModel(diagnostics),
        FoldPad(folded),
        HoistLayout(),
        QuantizeBehindLayout(),
        NormaliseDynamic(),
        FoldBatchNorm(folded),
        DetectTernary(diagnostics),
        FoldInput(folded),
        RemoveChannels(diagnostics, folded),
        common.RemoveUnusedNodesPass(),
    )

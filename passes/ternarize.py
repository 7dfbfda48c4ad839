"""Float weights to ternary ones by a scheme, with loss: only on request."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._canonical import canonical, import_int2, put_in_slot
from ternc.passes._graph import Array, constant
from ternc.passes._levels import Ternary
from ternc.passes._linear import RECURRENT, Slot, weight_slots
from ternc.quantize import ternarize


class Ternarize(ir.passes.InPlacePass):
    """W → DequantizeLinear(INT2 codes, s, axis=output channels), codes and s by `scheme`.

    Applies to float32 initializers that are the weight of Conv, ConvTranspose, Gemm, MatMul,
    LSTM, GRU or RNN; the form is the one `DetectTernary` gives exactly ternary weights. A scheme
    with one scale for the tensor writes it once for each channel. Only nodes named in `nodes`
    (None: all) and not in `keep` are touched, n.W and n.R being those weights of node n; weights
    that are quantized or ternary already never are. Warning TC0207 names each layer and
    ||W - s·codes|| / ||W||.
    """

    name: ClassVar[str] = "ternarize"

    def __init__(
        self,
        diagnostics: Diagnostics,
        scheme: str = "optimal",
        nodes: AbstractSet[str] | None = None,
        keep: AbstractSet[str] = frozenset(),
    ) -> None:
        self.diagnostics = diagnostics
        self.scheme = scheme
        self.nodes = nodes
        self.keep = keep

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every weight; a tensor shared by several nodes is converted once."""
        made: dict[tuple[ir.Value, int], ir.Value] = {}
        slots = list(float_slots(model, self.nodes, self.keep))
        for slot in slots:
            key = (slot.weight, slot.axis)
            if key not in made:
                weights = constant(slot.weight)
                assert weights is not None
                found = by_scheme(slot, weights, self.scheme)
                warn(self.diagnostics, slot, weights, found, f"scheme {self.scheme}")
                made[key] = canonical(slot, found)
            put_in_slot(slot, made[key])
        if slots:
            import_int2(model)
        return ir.passes.PassResult(model, bool(slots))


def float_slots(
    model: ir.Model, nodes: AbstractSet[str] | None = None, keep: AbstractSet[str] = frozenset()
) -> Iterator[Slot]:
    """The float32 weights of `model` that may be made ternary, in graph order."""
    for node in list(model.graph):
        for slot in weight_slots(node):
            weights = constant(slot.weight) if slot.is_in(nodes, keep) else None
            if weights is not None and weights.dtype == np.float32 and weights.size:
                yield slot


def by_scheme(slot: Slot, weights: Array, scheme: str) -> Ternary:
    """Codes and one scale per output channel (recurrent: direction and gate row) of `weights`."""
    recurrent = slot.node.op_type in RECURRENT
    rows = weights.reshape(-1, weights.shape[-1]) if recurrent else weights
    axis = 0 if recurrent else slot.axis
    found = ternarize(rows, scheme, axis)
    scale = np.broadcast_to(found.scale.reshape(-1), (rows.shape[axis],)).copy()
    return Ternary(found.codes.reshape(weights.shape), scale.astype(np.float32))


def real(slot: Slot, found: Ternary) -> Array:
    """The float32 weights that `found` stands for in `slot`."""
    codes = found.codes.astype(np.float32)
    if slot.node.op_type in RECURRENT:
        return codes * found.scale.reshape(*codes.shape[:2], 1)
    return codes * found.scale.reshape([-1 if d == slot.axis else 1 for d in range(codes.ndim)])


def warn(
    diagnostics: Diagnostics, slot: Slot, weights: Array, found: Ternary, how: str
) -> None:
    """Warning TC0207 about one layer made ternary."""
    norm = float(np.linalg.norm(weights))
    error = float(np.linalg.norm(weights - real(slot, found))) / norm if norm else 0.0
    zeros = float(np.mean(found.codes == 0))
    diagnostics.warning(
        "TC0207", f"weight {slot.weight.name!r} was made ternary: its relative error is "
                  f"{error:.1%}", node=slot.node.name or "", op_type=slot.node.op_type,
        notes=(how, f"{zeros:.0%} of the codes are 0"),
        help="train with ternc.qat, or keep the layer with --keep int8:NODE")

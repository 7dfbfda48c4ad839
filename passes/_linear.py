"""Where the operators with weights keep them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from ternc.passes._graph import input_at

RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True, slots=True)
class Slot:
    """Input `index` of `node` is a weight whose output channels lie along `axis`."""

    node: ir.Node
    index: int
    axis: int
    groups: int = 1

    @property
    def weight(self) -> ir.Value:
        """The tensor in the slot."""
        value = self.node.inputs[self.index]
        assert value is not None
        return value

    @property
    def name(self) -> str:
        """The node's name, with .W or .R behind it for a node that has both."""
        name = self.node.name or ""
        return f"{name}.{'WR'[self.index - 1]}" if self.node.op_type in RECURRENT else name

    def rows_in(self, names: AbstractSet[str]) -> int | None:
        """How many rows `names` asks for as `name[:k]`, None for a name without rows."""
        begin = f"{self.name}[:"
        found = [name for name in names if name.startswith(begin) and name.endswith("]")]
        if self.node.op_type not in RECURRENT or not found:
            return None
        return int(found[0][len(begin) : -1])

    def is_in(self, names: AbstractSet[str] | None, keep: AbstractSet[str]) -> bool:
        """Whether `names` (None: all) has the slot or its node and `keep` has not.

        What is said of W or R counts, whatever is said of the node.
        """
        if self.name in keep:
            return False
        if names is not None and (self.name in names or self.rows_in(names) is not None):
            return True
        own = self.node.name or ""
        return own not in keep and (names is None or own in names)


def weight_slots(node: ir.Node) -> list[Slot]:
    """The weights of `node`, whether constant or not; none for an operator without weights.

    The output channels of a ConvTranspose with groups are (group, index along the axis). A
    recurrent weight has one output channel per gate row, axis 1 of [directions, rows, columns].
    """
    if node.domain:
        return []
    match node.op_type:
        case "Conv":
            return [Slot(node, 1, 0)]
        case "ConvTranspose":
            return [Slot(node, 1, 1, node.attributes.get_int("group", 1))]
        case "Gemm":
            return [Slot(node, 1, 0 if node.attributes.get_int("transB", 0) else 1)]
        case "MatMul":
            weight = node.inputs[1]
            rank = len(weight.shape) if weight is not None and weight.shape is not None else 0
            return [Slot(node, 1, rank - 1)] if rank >= 2 else []
        case op if op in RECURRENT:
            return [Slot(node, index, 1) for index in (1, 2) if input_at(node, index) is not None]
    return []

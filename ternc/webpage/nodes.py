"""What became of each node of the model as it was given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import onnx

    from ternc.compiled import CompiledModel

_VIEWS: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity",
                           "Dropout", "DequantizeLinear", "QuantizeLinear"})


class Fate(Enum):
    """What may become of a node; the value says it in words."""

    COMPUTED = "computed by"
    MERGED = "merged into"
    VIEW = "no work: the bytes of"
    CONSTANT = "a constant of the program"
    REWRITTEN = "removed or rewritten by the passes"


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node; `where` names the kernels that compute it, or the node that it went into."""

    name: str
    op_type: str
    fate: Fate
    where: tuple[str, ...] = ()


def nodes(compiled: CompiledModel) -> list[Node]:
    """Every node in the order of the file."""
    kernels: dict[str, list[str]] = {}
    writers: dict[int, str] = {}
    for item in compiled.program.instructions:
        kernels.setdefault(item.layer, []).append(item.opcode.name)
        writers.update((id(tensor.root), item.layer) for tensor in item.writes)
    owners = {name: writers[id(view.tensor)] for name, view in compiled.program.values.items()
              if id(view.tensor) in writers}
    made = {value.name: node.name for node in compiled.model.graph for value in node.outputs}
    return [_node(compiled, index, node, kernels, owners, made)
            for index, node in enumerate(compiled.source.graph.node)]


def _node(
    compiled: CompiledModel, index: int, node: onnx.NodeProto, kernels: dict[str, list[str]],
    owners: dict[str, str], made: dict[str | None, str | None],
) -> Node:
    name = node.name or f"node {index}"

    def is_now(fate: Fate, *where: str) -> Node:
        return Node(name, node.op_type, fate, where)

    own = node.name if node.name in kernels else next(
        (layer for output in node.output if (layer := made.get(output)) in kernels), None)
    if own is not None:
        return is_now(Fate.COMPUTED, *dict.fromkeys(kernels[own]))
    into = next((compiled.folded[o] for o in node.output if o in compiled.folded), None)
    if into is not None:
        return is_now(Fate.MERGED, into)
    owner = next((owners[o] for o in node.output if o in owners), None)
    if owner is not None:
        return is_now(Fate.VIEW if node.op_type in _VIEWS else Fate.MERGED, owner)
    return is_now(Fate.CONSTANT if node.op_type == "Constant" else Fate.REWRITTEN)

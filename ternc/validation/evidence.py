"""What the checks look at: the compiled model, the samples, and the answers of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ternc.compiled import CompiledModel
    from ternc.feeds import Feed
    from ternc.oracle import Oracle

Array = npt.NDArray[np.generic]
Runs = list[dict[str, Array]]
DETAILED: Final = 64  # samples at most whose every tensor is looked at


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both answers to every feed; `expected` is the oracle's, of the model as it was given."""

    compiled: CompiledModel
    feeds: list[Feed]
    labels: Array | None
    noise: bool
    expected: Runs
    found: Runs
    oracle: str  # in words

    @property
    def quantized(self) -> bool:
        """Whether any activation of what was compiled is quantized."""
        return quantized(self.compiled.model)

    @property
    def same_numbers(self) -> bool:
        """Whether the source quantizes as the program does, so that only roundings may differ."""
        return not self.quantized or quantized_proto(self.compiled.source)

    @property
    def source(self) -> str:
        """On what the figures stand, in words."""
        kind = "noise" if self.noise else "the data"
        return f"{len(self.feeds)} samples of {kind} against {self.oracle}"

    @property
    def detailed(self) -> list[Feed]:
        """The feeds whose every tensor is looked at."""
        return self.feeds[:DETAILED]


def gather(
    compiled: CompiledModel, feeds: list[Feed], labels: Array | None, *, noise: bool,
    progress: Callable[[int], None] = lambda done: None,
) -> Evidence:
    """Runs every feed through onnxruntime and through the C runtime."""
    oracle, what = _oracle(compiled, feeds[0])
    expected: Runs = []
    found: Runs = []
    for done, feed in enumerate(feeds, 1):
        wanted = oracle.run(feed)
        answer = compiled.run(device_feed(compiled, feed))
        expected.append(wanted)
        found.append({name: matched(answer[name], wanted[name]) for name in wanted})
        progress(done)
    return Evidence(compiled, feeds, labels, noise, expected, found, what)


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


def device_feed(compiled: CompiledModel, feed: Feed) -> Feed:
    """A feed in the axis order that the program takes (`io_layout="nhwc"`)."""
    out = {}
    for port in compiled.program.inputs:
        array = feed[port.name]
        if array.shape != port.shape and array.ndim > 2:
            array = np.moveaxis(array, 1, -1)
        out[port.name] = array
    return out


def matched(found: Array, wanted: Array) -> Array:
    """An answer in the oracle's axis order."""
    if found.shape != wanted.shape and found.ndim == wanted.ndim > 2:
        return np.moveaxis(found, -1, 1)
    return found.reshape(wanted.shape)

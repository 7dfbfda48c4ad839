"""Which output channels of a layer become ternary first: those whose error counts least.

Every channel is fitted on its own, and adds its own error to what the next layer reads. That
error, times the weights that the next layer has for it, differs between channels by orders of
magnitude: the better half of a layer may make a hundredth of its noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.mixed.search import Search

_SAMPLES: Final = 256


@dataclass(frozen=True, slots=True)
class Ranking:
    """The channels of a layer by the noise that they add; `shares`: that of the first 0 .. n."""

    order: tuple[int, ...]
    shares: tuple[float, ...]


def ranking(search: Search, name: str) -> Ranking | None:
    """That of node `name`; None where its channels cannot be put in another order.

    Measured on the samples that weights are fitted to, with this layer ternary alone.
    """
    from ternc.moments import up_to
    from ternc.oracle import Oracle
    from ternc.passes._channel_selection import reader_matrix
    from ternc.passes._channels import path_from
    from ternc.passes.split_channels import channels_of
    from ternc.precision import ternarize

    model = ir.from_proto(search.base)
    node = next((node for node in model.graph if node.name == name), None)
    path = path_from(node) if node is not None and channels_of(node) else None
    if path is None:
        return None
    tensor = path.reader.inputs[0]
    assert tensor is not None
    read = tensor.name or ""
    counts = (reader_matrix(path).astype(np.float64) ** 2).sum(axis=0)  # [channels, weights]
    if path.reader.op_type == "Conv":  # all its taps read the same values
        counts = counts.sum(axis=1, keepdims=True)
    asked = replace(search.precision, ternarize=None, weights="auto", max_drop=None,
                    keep={**search.precision.keep, name: "ternary"})
    ternarize(model, asked, Diagnostics(), search.fit, frozenset({name}), search.memo)
    before, after = (Oracle(up_to(m, read)) for m in (search.base, ir.to_proto(model)))
    axis = 1 if path.reader.op_type == "Conv" else -1
    seen = []
    for feed in islice(search.fit, _SAMPLES):
        used = {item.name: feed[item.name] for item in search.base.graph.input}
        error = after.run(used, [read])[read].astype(np.float64) - before.run(used, [read])[read]
        seen.append(np.moveaxis(error, axis, -1).reshape(-1, counts.size))
    return _ranked((np.concatenate(seen).var(axis=0).reshape(counts.shape) * counts).sum(axis=1))


def _ranked(noise: npt.NDArray[np.float64]) -> Ranking:
    order = np.argsort(noise, kind="stable")
    shares = np.concatenate([[0.0], np.cumsum(noise[order])]) / max(float(noise.sum()), 1e-300)
    return Ranking(tuple(order.tolist()), tuple(shares.tolist()))

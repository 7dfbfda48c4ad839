"""The model after the passes, before anything lossy, against the model as it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ternc.comparison import difference, sqnr_db
from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence

if TYPE_CHECKING:
    import onnx_ir as ir

    from ternc.compiled import CompiledModel

LIMIT: Final = 1e-4  # of the largest value of an output and sample
FLIPPED_DB: Final = 20.0  # where the source quantizes, the last bits of a float tip a rounding


def front_model(compiled: CompiledModel) -> ir.Model:
    """What the passes make of the source, before weights and activations become integers."""
    from ternc.compiler import prepare
    from ternc.passes._graph import name_nodes

    shapes = {value.name or "": tuple(int(str(extent)) for extent in value.shape or ())
              for value in compiled.model.graph.inputs}
    model = prepare(compiled.source, shapes=shapes).model
    name_nodes(model.graph)
    return model


def passes(seen: Evidence, front: ir.Model) -> list[Check]:
    """Both in onnxruntime; a model without quantization is compared as a whole already."""
    from ternc.oracle import Oracle

    if not seen.quantized:
        return []
    if seen.oracle != "onnxruntime":
        return [Check("passes", Verdict.SKIPPED,
                      "onnxruntime cannot run the model as it was given")]
    oracle = Oracle(front)
    runs = [oracle.run(feed) for feed in seen.detailed]
    far, lowest = 0.0, np.inf
    for name in seen.expected[0]:
        pairs = [(run[name].reshape(wanted[name].shape), wanted[name])
                 for run, wanted in zip(runs, seen.expected, strict=False)]
        far = max(far, max(difference(found, wanted)[0] for found, wanted in pairs))
        lowest = min(lowest, sqnr_db(np.stack([found for found, _ in pairs]),
                                     np.stack([wanted for _, wanted in pairs])))
    if seen.same_numbers:
        return [Check("passes", held(far <= LIMIT or lowest >= FLIPPED_DB),
                      "rewriting the graph changes nothing" if lowest == np.inf else
                      f"rewriting the graph keeps {lowest:.1f} dB, limit {FLIPPED_DB:g}",
                      float(lowest), FLIPPED_DB)]
    return [Check("passes", held(far <= LIMIT),
                  f"rewriting the graph changes outputs by {far:.3g} of their largest value, "
                  f"limit {LIMIT:g}", far, LIMIT)]

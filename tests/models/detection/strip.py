"""Takes the exporting machine's paths out of a model: the exporters note where each node is from.

    python -m tests.models.detection.strip tests/models/detection/*.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx


def strip(path: Path) -> None:
    """Removes metadata and doc strings, in place; the computation stays as it was exported."""
    model = onnx.load(path)
    graph = model.graph
    model.doc_string = ""
    for item in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input,
                 *graph.output, *model.functions):
        del item.metadata_props[:]
    for item in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input,
                 *graph.output, *model.functions):
        item.doc_string = ""
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        strip(Path(argument))

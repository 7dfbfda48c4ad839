"""Trained Keras networks through the compiler: accuracy of the program, flash, arena."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

import ternc
from ternc.exporting import to_onnx
from tests.examples.arrays import Arrays

CALIBRATION: Final = 512  # training samples


def kept(model: Any, source: onnx.ModelProto, skip: tuple[str, ...]) -> dict[str, str]:
    """ONNX nodes of the layers that `skip` names, to be kept int8.

    On TensorFlow nodes have their layers' names, but for a convolution with a normalization in
    it, which has that one's: the first layer is told by its place.

    Raises:
        ValueError: There is not one node for each layer.
    """
    weights = {tensor.name for tensor in source.graph.initializer}
    nodes = [node.name for node in source.graph.node
             if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in weights]
    found = [node for place, node in enumerate(nodes) for entry in skip
             if fnmatchcase(node, f"*/{entry}_*") or (entry == "first" and place == 0)]
    layers = [layer for layer in model.layers for entry in skip if fnmatchcase(layer.name, entry)]
    if len(found) != len(layers):
        raise ValueError(f"{len(layers)} layers are to be kept, and found as nodes: {found}")
    return dict.fromkeys(found, "int8")


def measured(
    model: Any, data: Arrays, header: Path, post_training: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Compiles for int8 activations, writes the header, and runs the program on the test split.

    With `post_training` the layers of a float network that it does not name become ternary, by
    reconstruction on the calibration data; those it names are int8, as beside trained ones.
    """
    source = to_onnx(model, None)
    options: dict[str, Any] = {}
    if post_training is not None:
        options = {"ternarize": True, "keep": kept(model, source, post_training)}
    compiled = ternc.compile(
        source, target="esp32", calibration_data=data.x[:CALIBRATION], name="network", **options)
    compiled.save(header)
    (scores,) = compiled.run(data.x_test).values()
    report = compiled.report()
    return {
        "program_accuracy": float(np.mean(np.argmax(scores, 1) == data.y_test)),
        "flash_bytes": report["flash_bytes"], "arena_bytes": report["arena_bytes"],
        "weights": report["weights"], "header": str(header)}

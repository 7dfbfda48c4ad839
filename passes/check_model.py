"""Problems that no later stage could mend, found before work is spent on the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import constant, input_at, scalar

_CONTROL_FLOW = ("If", "Loop", "Scan")
_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN",
           "BatchNormalization", "DequantizeLinear", "QuantizeLinear")


class CheckModel(ir.passes.InPlacePass):
    """Changes nothing: model → model, with errors for what cannot be compiled.

    NaN in any initializer, or an infinity in a weight, bias or scale, is TC0006 (an infinity
    elsewhere is legal: attention masks and clip bounds hold them). If, Loop and Scan that the
    passes before could not remove are TC0105. BatchNormalization and Dropout in training mode,
    which compute with the batch and with chance, are TC0102. A model without outputs is TC0107.
    """

    name: ClassVar[str] = "check_model"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Reports; the model is returned as it came."""
        if not model.graph.outputs:
            self.diagnostics.error("TC0107", "the model has no outputs")
        for value in model.graph.initializers.values():
            self._check_values(value)
        for node in model.graph.all_nodes():
            if node.domain == "" and node.op_type in _CONTROL_FLOW:
                self.diagnostics.error(
                    "TC0105", f"control flow could not be removed: {node.op_type}",
                    node=node.name or "", op_type=node.op_type,
                    source=node.metadata_props.get("pkg.torch.onnx.name_scopes", ""),
                    notes=("tf2onnx writes Keras GRU and SimpleRNN, and LSTM with batch 1, as "
                           "Loop",) if node.op_type == "Loop" else (),
                    help="export recurrent layers as LSTM, GRU or RNN nodes, or unrolled")
            elif _in_training(node):
                self.diagnostics.error(
                    "TC0102", f"{node.op_type} in training mode",
                    node=node.name or "", op_type=node.op_type,
                    source=node.metadata_props.get("pkg.torch.onnx.name_scopes", ""),
                    help="export the model for inference: model.eval() in PyTorch, "
                         "training=False in Keras")
        return ir.passes.PassResult(model, modified=False)

    def _check_values(self, value: ir.Value) -> None:
        array = constant(value)
        if array is None or array.dtype not in (np.float16, np.float32, np.float64):
            return
        readers = [use.node for use in value.uses()]
        nans, infinities = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        weight = any(node.op_type in _LINEAR for node in readers)
        if nans or (infinities and weight):
            what = " and ".join(f"{n} {kind}" for n, kind in
                                ((nans, "NaN"), (infinities, "infinite")) if n)
            self.diagnostics.error(
                "TC0006", f"initializer {value.name!r} holds {what} value(s)",
                node=readers[0].name or "" if readers else "",
                op_type=readers[0].op_type if readers else "",
                help="training diverged, or the export went wrong: check the weights")


def _in_training(node: ir.Node) -> bool:
    """Of a Dropout: that its answers are drawn by lot, or may be."""
    if node.domain:
        return False
    if node.op_type == "BatchNormalization":
        return node.attributes.get_int("training_mode", 0) != 0
    mode = input_at(node, 2)
    return (node.op_type == "Dropout" and mode is not None and scalar(mode) != 0
            and scalar(input_at(node, 1)) != 0)

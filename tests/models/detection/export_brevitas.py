"""Ternary weights as Brevitas exports them: QCDQ by both exporters of torch, and QONNX.

    pip install --no-deps brevitas==0.13.4 dependencies==2.0.1 unfoldNd==0.2.3 onnxoptimizer==0.4.2
    python -m tests.models.detection.export_brevitas
    python -m tests.models.detection.strip tests/models/detection/brevitas_*.onnx
"""

from __future__ import annotations

from pathlib import Path

import torch
from brevitas import nn as qnn
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import Int8WeightPerChannelFloat
from torch import nn

HERE = Path(__file__).parent


def main() -> None:
    """Writes a model of 2-bit narrow weights, so -1, 0 and 1, per channel, three times."""
    torch.manual_seed(0)
    options = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": 2}
    model = nn.Sequential(
        qnn.QuantConv2d(3, 6, 3, **options), nn.ReLU(), nn.Flatten(),
        qnn.QuantLinear(6 * 3 * 3, 10, bias=True, **options)).eval()
    x = torch.zeros(1, 3, 5, 5)
    model(x)
    export_onnx_qcdq(model, args=x, export_path=str(HERE / "brevitas_qcdq.onnx"),
                     opset_version=13, dynamo=False)
    export_onnx_qcdq(model, args=x, export_path=str(HERE / "brevitas_qcdq_dynamo.onnx"),
                     opset_version=18, dynamo=True, external_data=False)
    export_qonnx(model, args=x, export_path=str(HERE / "brevitas_qonnx.onnx"),
                 opset_version=13, dynamo=False)


if __name__ == "__main__":
    main()

"""int16 against int8 activations on other people's models (`pytest -s` prints the figures)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from ternc.compiler import Activations
from ternc.compiler import compile as compile_model
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from ternc.quality import sqnr
from tests.shared_models import MODELS, feeds, model_id, needs_models, paths

pytest.importorskip("ternc._engine", reason="the C runtime is not built: pip install -e .")

CALIBRATION = 32
# Round: quantization that is written out.
_QUANTIZED = {"QuantizeLinear", "Quant", "BipolarQuant", "QLinearConv", "QLinearMatMul", "Round"}


@needs_models
@pytest.mark.parametrize("name", [
    "mlperf_tiny_kws_ref_model_float32", "mlperf_tiny_pretrainedResnet", "mlperf_tiny_ad01_fp32",
])
def test_gains_tens_of_decibels(name: str) -> None:
    """Measured on samples that calibration did not see.

    Against the float model the int8 weights, which both have, bound what can be gained; against
    the model with the same weights and float activations, only the activations' error is left.
    """
    path = MODELS / f"{name}.onnx"
    proto = onnx.load(path)
    data, kind = feeds(path, proto, CALIBRATION + 16)
    data, held_out = data[:CALIBRATION], data[CALIBRATION:]
    output = Oracle(proto).outputs[0]

    def answers(model: onnx.ModelProto) -> list[np.ndarray]:
        oracle = Oracle(model)
        return [oracle.run(feed)[output] for feed in held_out]

    same_weights = compile_model(proto, "host", weights="int8", check_fit=False).model
    real, rounded = answers(proto), answers(onnx.load_from_string(serialized(same_weights)))
    gained: dict[str, tuple[float, float]] = {}
    widths: tuple[Activations, ...] = ("int8", "int16")
    for activations in widths:
        compiled = compile_model(proto, "host", calibration_data=data, check_fit=False,
                                 activations=activations)
        assert compiled.float_instructions() == 0
        got = [compiled.run(feed)[output] for feed in held_out]
        gained[activations] = (sqnr(real, got), sqnr(rounded, got))
        for result in check_layers(compiled.model, held_out[:2]):
            assert result.worst <= 1, result
    print(f"\n{name} ({kind}): weights alone {sqnr(real, rounded):.1f} dB; "
          + "; ".join(f"{key} {a:.1f} dB, against the same weights {b:.1f} dB"
                      for key, (a, b) in gained.items()))
    assert gained["int16"][1] > gained["int8"][1] + 30
    assert gained["int16"][0] > gained["int8"][0] - 0.1
    assert gained["int16"][0] > sqnr(real, rounded) - 0.5


@needs_models
@pytest.mark.parametrize("path", paths(), ids=model_id)
def test_whole_models_run_in_integers(path: Path) -> None:
    proto = onnx.load(path)
    if {node.op_type for node in proto.graph.node} & _QUANTIZED:
        pytest.skip("the model is quantized already")
    data, _ = feeds(path, proto, 8)
    compiled = compile_model(path, "host", calibration_data=data, activations="int16",
                             check_fit=False)
    assert compiled.float_instructions() == 0
    for result in check_layers(compiled.model, data[:1]):
        assert result.worst <= 1, result


def serialized(model: object) -> bytes:
    """An onnx_ir model as bytes."""
    import onnx_ir as ir

    assert isinstance(model, ir.Model)
    return bytes(ir.to_proto(model).SerializeToString())

"""Makes gesture_cnn_int8.onnx from gesture_cnn.onnx: static int8 as onnxruntime writes it.

Activations are uint8 with zero points, weights int8 with one scale per output channel, which turns
the three levels of the ternary weights into -127, 0 and 127. Run train_gesture_cnn.py before.

    python -m tests.models.make_qdq
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnxruntime import quantization

HERE = Path(__file__).parent


class Samples(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """The arrays of an .npz file, one sample at a time."""

    def __init__(self, path: Path, name: str) -> None:
        self._name, self._samples = name, iter(np.load(path)[name])

    def get_next(self) -> dict[str, npt.NDArray[np.generic]] | None:
        sample = next(self._samples, None)
        return None if sample is None else {self._name: sample[np.newaxis]}


def main() -> None:
    quantization.quantize_static(
        HERE / "gesture_cnn.onnx", HERE / "gesture_cnn_int8.onnx",
        Samples(HERE / "gesture.npz", "motion"),
        quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
    )


if __name__ == "__main__":
    main()

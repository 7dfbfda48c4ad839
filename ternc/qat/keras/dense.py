"""`TernaryDense`: `keras.layers.Dense` with a ternary kernel."""

from __future__ import annotations

from typing import Any

import keras

from ternc.qat.keras.layer import TernaryLayer


@keras.saving.register_keras_serializable(package="ternc")
class TernaryDense(TernaryLayer, keras.layers.Dense):  # type: ignore[misc, unused-ignore]
    """`keras.layers.Dense` with a ternary kernel; `TernaryLayer` has the arguments beyond its own.

    There is no normalization inside: put one before the layer where the network wants one.
    """

    float_type = keras.layers.Dense

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._add_ternary_weights()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = self.quantized_input(inputs, training=bool(training))
        with self._ternary_in_place(bool(training)):
            return super().call(x)

"""The convolutions of Keras with ternary kernels."""

from __future__ import annotations

from typing import Any

import keras

from ternc.qat.keras.layer import TernaryLayer


class _TernaryConv(TernaryLayer):
    """What the convolutions share; dynamic int8 is per sample."""

    sample_activations = True

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._add_ternary_weights()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = self.quantized_input(inputs, training=bool(training))
        with self._ternary_in_place(bool(training)):
            return super().call(x)


@keras.saving.register_keras_serializable(package="ternc")
class TernaryConv1D(_TernaryConv, keras.layers.Conv1D):  # type: ignore[misc, unused-ignore]
    """`keras.layers.Conv1D` with a ternary kernel; `TernaryLayer` has the further arguments."""

    float_type = keras.layers.Conv1D


@keras.saving.register_keras_serializable(package="ternc")
class TernaryConv2D(_TernaryConv, keras.layers.Conv2D):  # type: ignore[misc, unused-ignore]
    """`keras.layers.Conv2D` with a ternary kernel; `TernaryLayer` has the further arguments."""

    float_type = keras.layers.Conv2D


@keras.saving.register_keras_serializable(package="ternc")
class TernaryDepthwiseConv2D(
    _TernaryConv, keras.layers.DepthwiseConv2D  # type: ignore[misc, unused-ignore]
):
    """`keras.layers.DepthwiseConv2D` with a ternary kernel; `TernaryLayer` has the rest.

    Its output channels are those of the input times the depth multiplier.
    """

    float_type = keras.layers.DepthwiseConv2D
    channel_axes = 2

"""`TernaryLSTM` and `TernaryGRU`: the recurrent layers of Keras with ternary kernels."""

from __future__ import annotations

from typing import Any

import keras

from ternc.qat.keras.layer import TernaryLayer


class _TernaryRecurrent(TernaryLayer):
    """Kernel and recurrent kernel ternary, with one scale or one per gate row; biases float.

    The kernels are computed once for a sequence. `activations` quantizes the layer's input;
    states stay float.
    """

    kernel_names = ("kernel", "recurrent_kernel")

    def holder(self) -> Any:
        return self.cell

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape, initial_state_shape)
        self._add_ternary_weights()

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        x = self.quantized_input(sequences, training=bool(training))
        with self._ternary_in_place(bool(training)):
            return super().call(
                x, initial_state=initial_state, mask=mask, training=training)


@keras.saving.register_keras_serializable(package="ternc")
class TernaryLSTM(_TernaryRecurrent, keras.layers.LSTM):  # type: ignore[misc, unused-ignore]
    """`keras.layers.LSTM` with ternary kernels; `TernaryLayer` has the further arguments."""

    float_type = keras.layers.LSTM


@keras.saving.register_keras_serializable(package="ternc")
class TernaryGRU(_TernaryRecurrent, keras.layers.GRU):  # type: ignore[misc, unused-ignore]
    """`keras.layers.GRU` with ternary kernels; `TernaryLayer` has the further arguments."""

    float_type = keras.layers.GRU

"""Exports small untrained recurrent models, as Keras and PyTorch write them.

    python make_recurrent.py keras     # tensorflow-cpu 2.21, keras 3.15, tf2onnx 1.17
    python make_recurrent.py torch     # torch 2.13, onnxscript 0.7

The weights are seeded noise; the files lie beside this script. The suffix says what the batch
dimension was when the model was exported: `_dynamic`, or `_one` for a static 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
STEPS, INPUTS, HIDDEN = 7, 5, 6


def keras_models() -> dict[str, Any]:
    """Builders of Keras layers stacked on one input, by file name."""
    from keras import layers

    rnn = {"bias_initializer": "random_normal"}
    return {
        "lstm": lambda: [layers.LSTM(HIDDEN, **rnn)],
        "lstm_sequences": lambda: [layers.LSTM(HIDDEN, return_sequences=True, **rnn)],
        "gru": lambda: [layers.GRU(HIDDEN, **rnn)],
        "gru_reset_before": lambda: [layers.GRU(HIDDEN, reset_after=False, **rnn)],
        "gru_sequences": lambda: [layers.GRU(HIDDEN, return_sequences=True, **rnn)],
        "gru_backwards": lambda: [
            layers.GRU(HIDDEN, return_sequences=True, go_backwards=True, **rnn)],
        "rnn": lambda: [layers.SimpleRNN(HIDDEN, **rnn)],
        "rnn_sequences": lambda: [layers.SimpleRNN(HIDDEN, return_sequences=True, **rnn)],
        "bidirectional_lstm": lambda: [
            layers.Bidirectional(layers.LSTM(HIDDEN, return_sequences=True, **rnn))],
        "bidirectional_gru": lambda: [layers.Bidirectional(layers.GRU(HIDDEN, **rnn))],
        "stacked": lambda: [
            layers.GRU(HIDDEN, return_sequences=True, **rnn),
            layers.LSTM(4, return_sequences=True, **rnn), layers.SimpleRNN(3, **rnn),
            layers.Dense(2)],
    }


def make_keras() -> None:
    """Every Keras model, with a dynamic batch and with a batch of 1."""
    import keras
    import tensorflow as tf
    import tf2onnx

    for name, build in keras_models().items():
        for suffix, batch in (("dynamic", None), ("one", 1)):
            keras.backend.clear_session()  # names count from 1 again
            keras.utils.set_random_seed(0)
            source = keras.Input((STEPS, INPUTS), batch_size=batch, name="x")
            result = source
            for layer in build():
                result = layer(result)
            model = keras.Model(source, result, name="m")
            rng = np.random.default_rng(0)
            model.set_weights([rng.normal(0, 0.4, w.shape) for w in model.get_weights()])
            signature = [tf.TensorSpec((batch, STEPS, INPUTS), tf.float32, name="x")]
            tf2onnx.convert.from_keras(
                model, input_signature=signature, opset=15,
                output_path=str(HERE / f"keras_{name}_{suffix}.onnx"))


def make_torch() -> None:
    """Every torch model, through the dynamo exporter."""
    import torch
    from torch import nn

    class Sequence(nn.Module):  # type: ignore[misc, unused-ignore]
        """A recurrent layer; `last` gives only its last output."""

        def __init__(self, layer: nn.Module, last: bool) -> None:
            super().__init__()
            self.layer, self.last = layer, last

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, _ = self.layer(x)
            return y[:, -1] if self.last else y

    class Step(nn.Module):  # type: ignore[misc, unused-ignore]
        """One LSTM step whose state is an input and an output."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(INPUTS, HIDDEN, batch_first=True)

        def forward(self, x: torch.Tensor, h: torch.Tensor,
                    c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            y, (h_out, c_out) = self.layer(x, (h, c))
            return y, h_out, c_out

    common: dict[str, Any] = {"batch_first": True}
    state = torch.zeros(1, 1, HIDDEN)
    sequence = torch.zeros(1, STEPS, INPUTS)
    models: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
        "lstm": (lambda: Sequence(nn.LSTM(INPUTS, HIDDEN, **common), True), (sequence,)),
        "lstm_sequences": (lambda: Sequence(
            nn.LSTM(INPUTS, HIDDEN, num_layers=2, **common), False), (sequence,)),
        "lstm_bidirectional": (lambda: Sequence(
            nn.LSTM(INPUTS, HIDDEN, bidirectional=True, **common), False), (sequence,)),
        "gru": (lambda: Sequence(nn.GRU(INPUTS, HIDDEN, **common), True), (sequence,)),
        "gru_bidirectional": (lambda: Sequence(
            nn.GRU(INPUTS, HIDDEN, bidirectional=True, **common), False), (sequence,)),
        "rnn": (lambda: Sequence(nn.RNN(INPUTS, HIDDEN, **common), False), (sequence,)),
        "rnn_last": (lambda: Sequence(nn.RNN(INPUTS, HIDDEN, **common), True), (sequence,)),
        "rnn_relu": (lambda: Sequence(
            nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", **common), False), (sequence,)),
        "rnn_bidirectional": (lambda: Sequence(
            nn.RNN(INPUTS, HIDDEN, bidirectional=True, **common), False), (sequence,)),
        "rnn_stacked": (lambda: Sequence(
            nn.RNN(INPUTS, HIDDEN, num_layers=2, **common), False), (sequence,)),
        "lstm_step": (Step, (torch.zeros(1, 1, INPUTS), state, state)),
    }
    for name, (build, inputs) in models.items():
        torch.manual_seed(0)
        program = torch.onnx.export(build().eval(), inputs, dynamo=True, verbose=False)
        assert program is not None
        model = program.model
        model.metadata_props.clear()
        for node in model.graph.all_nodes():  # stack traces and paths of the exporting machine
            node.metadata_props.clear()
        program.save(str(HERE / f"torch_{name}.onnx"), external_data=False)


if __name__ == "__main__":
    {"keras": make_keras, "torch": make_torch}[sys.argv[1]]()

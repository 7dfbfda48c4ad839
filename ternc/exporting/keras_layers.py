"""The layers of a Keras model as the exporter is to see them, and afterwards as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ternc.diagnostics import CompileError, Diagnostic


@contextlib.contextmanager
def as_deployed(model: Any) -> Iterator[None]:
    """Computes in float32, without states of its own, dense layers over time in one go.

    - Mixed precision is for training: exported as it is, it leaves casts to half precision.
    - A stateful layer has the batch of its states, exporters leave it open. Its states are kept by
      `ternc.compile(..., stateful=True)`.
    - TimeDistributed writes its layer once per step; Dense computes all of them at once.
    - On TensorFlow a tensor that a layer made itself, as Normalization its mean, becomes one more
      input of the exported model. An array becomes a constant.
    - On TensorFlow and PyTorch an index may be negative, which an Embedding's never is.
    """
    import keras

    undo = contextlib.ExitStack()
    with undo:
        for layer in {id(item): item for item in model._flatten_layers()}.values():
            _in_float32(layer, undo)
            _without_states(layer, undo)
            _at_once(layer, undo)
            if keras.config.backend() == "tensorflow":
                _with_arrays(layer, undo)
            if keras.config.backend() in ("tensorflow", "torch"):
                _gathering(layer, undo)
        yield


def keeps_states(model: Any) -> bool:
    """Whether recurrent layers of a Keras model keep their states from call to call.

    Raises:
        CompileError: TC0008, some do and some do not.
    """
    import keras

    recurrent = [layer for layer in model._flatten_layers()
                 if isinstance(layer, keras.layers.RNN)]
    kept = [layer for layer in recurrent if layer.stateful]
    if kept and len(kept) < len(recurrent):
        other = next(layer for layer in recurrent if not layer.stateful)
        raise CompileError((Diagnostic(
            "TC0008", f"{kept[0].name!r} is stateful and {other.name!r} is not: a program keeps "
            "the states of all of its recurrent layers or of none",
            help="make them alike, or compile two models"),))
    return bool(kept)


def _in_float32(layer: Any, undo: contextlib.ExitStack) -> None:
    policy = layer.dtype_policy
    if policy.quantization_mode is not None or policy.compute_dtype not in (
            "float16", "bfloat16"):
        return
    undo.callback(setattr, layer, "dtype_policy", policy)
    layer.dtype_policy = "float32"


def _without_states(layer: Any, undo: contextlib.ExitStack) -> None:
    if getattr(layer, "stateful", False):
        undo.callback(setattr, layer, "stateful", True)
        layer.stateful = False


def _at_once(layer: Any, undo: contextlib.ExitStack) -> None:
    import keras

    if isinstance(layer, keras.layers.TimeDistributed) and isinstance(
            layer.layer, keras.layers.Dense):
        dense = layer.layer

        def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            return dense(inputs, training=training)

        # past Keras's __setattr__, which would track it
        layer.__dict__["call"] = call
        undo.callback(layer.__dict__.pop, "call")


def _with_arrays(layer: Any, undo: contextlib.ExitStack) -> None:
    import tensorflow

    for name, value in list(layer.__dict__.items()):
        if isinstance(value, tensorflow.Tensor) and hasattr(value, "numpy"):
            undo.callback(layer.__dict__.__setitem__, name, value)
            layer.__dict__[name] = value.numpy()


def _gathering(layer: Any, undo: contextlib.ExitStack) -> None:
    import keras

    if type(layer) is keras.layers.Embedding and not layer.quantization_mode:
        def call(inputs: Any) -> Any:
            indices = keras.ops.cast(inputs, "int32")
            table = keras.ops.convert_to_tensor(layer.embeddings)
            if keras.config.backend() == "torch":
                import torch

                return torch.nn.functional.embedding(indices, table)
            import tensorflow

            return tensorflow.gather(table, indices)

        layer.__dict__["call"] = call
        undo.callback(layer.__dict__.pop, "call")


@contextlib.contextmanager
def eager_functions(backend: str) -> Iterator[None]:
    """Functions that Keras compiles for TensorFlow are traced into the model that calls them.

    Grouped convolutions are such; tf2onnx would leave a call of what it cannot read.
    """
    if backend != "tensorflow":
        yield
        return
    import tensorflow

    before = tensorflow.config.functions_run_eagerly()
    tensorflow.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tensorflow.config.run_functions_eagerly(before)

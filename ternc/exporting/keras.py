"""A Keras model to ONNX by its own export, with a batch of one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import onnx
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics, UsageError
from ternc.exporting.failures import called_with, exporting
from ternc.exporting.keras_elsewhere import on_tensorflow
from ternc.exporting.keras_layers import as_deployed, eager_functions
from ternc.passes.repair import Repair

_BACKENDS: Final = ("tensorflow", "torch", "jax")  # those that Keras exports from
_EINSUM: Final = {"MultiHeadAttention", "GroupQueryAttention", "EinsumDense"}
_HALVES: Final = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def from_keras(model: Any, example_inputs: Any) -> onnx.ModelProto:
    """The model as at inference; `ternc.exporting.to_onnx` has the errors."""
    import keras

    backend = keras.config.backend()
    arguments = _arguments(model, example_inputs)
    _check_layers(model)
    obstacle = _obstacle(model, backend)
    if obstacle:
        if not getattr(model, "inputs", None):
            raise _refused(obstacle)
        return on_tensorflow(model, obstacle)
    with tempfile.TemporaryDirectory(prefix="ternc-") as folder, exporting("Keras", "keras"):
        path = Path(folder) / "model.onnx"
        if not model.built:  # before its layers are those to export: it makes their variables
            with called_with(arguments):
                model(*arguments)
        with as_deployed(model), eager_functions(backend):
            if arguments:  # Keras does not export a model that was never called
                with called_with(arguments):
                    model(*arguments)
            options = {} if backend == "tensorflow" else _static_batch(model)
            model.export(str(path), format="onnx", verbose=False, **options)
        proto = onnx.load(path)
    _check_inputs(model, proto)
    _fix_batch(proto)
    _fix_types(proto)
    return _without_erfc(proto)


def _static_batch(model: Any) -> dict[str, Any]:
    """Asks for a batch of one, with which PyTorch and JAX write constant shapes.

    Not for TensorFlow: tf2onnx writes an LSTM of a static batch of one as a Loop.
    """
    import keras

    inputs = getattr(model, "_inputs_struct", None)  # as nested as the model was given them
    if inputs is None:
        inputs = getattr(model, "inputs", None)
    if inputs is None:
        return {}
    if isinstance(inputs, (list, tuple)) and len(inputs) == 1:
        (inputs,) = inputs
    return {"input_signature": [keras.tree.map_structure(
        lambda port: keras.InputSpec(
            port.dtype, (1, *port.shape[1:]), name=port.name), inputs)]}


def _check_layers(model: Any) -> None:
    """What no exporter can write.

    Raises:
        CompileError: TC0104, weights are not float32. TC0008, a recurrent layer gets a mask, for
            which ONNX has no form.
    """
    for layer in model._flatten_layers(include_self=False):
        stored = {variable.dtype for variable in layer.variables} & {
            "float16", "bfloat16", "float64"}
        if stored:
            raise CompileError((Diagnostic(
                "TC0104", f"{layer.name!r} has weights in {min(stored)}, and programs are "
                "computed in float32 or integers",
                help="build the model with the policy float32 or a mixed one, and load the "
                "weights there"),))
    for layer in _recurrent(model):
        if not layer.unroll and _is_masked(layer):
            raise CompileError((Diagnostic(
                "TC0008", f"{layer.name!r} ({type(layer).__name__}) gets a mask, and a program "
                "computes every step of a sequence",
                help="export the model without its Masking layer or mask_zero=True, and give it "
                "sequences of full length"),))


def _check_inputs(model: Any, proto: onnx.ModelProto) -> None:
    """TensorFlow's exporter makes inputs of tensors that it finds outside the model's weights.

    Raises:
        CompileError: TC0008, there is one that the model has not.
    """
    own = len(getattr(model, "inputs", None) or [])
    if own and len(proto.graph.input) > own:
        found = ", ".join(repr(port.name) for port in proto.graph.input[own:])
        raise CompileError((Diagnostic(
            "TC0008", f"the exported model has inputs that the model has not: {found}",
            help="a layer keeps a constant as a tensor: make it a numpy array or a weight"),))


def _obstacle(model: Any, backend: str) -> str:
    """Why Keras cannot export the model from this backend, or not in operators with kernels."""
    if backend not in _BACKENDS:
        return f"Keras on the backend {backend} cannot export models"
    recurrent = _recurrent(model)
    if recurrent and backend != "tensorflow":
        return (f"Keras on the backend {backend} cannot export {recurrent[0].name!r} "
                f"({type(recurrent[0]).__name__}) as a recurrent layer")
    for layer in model._flatten_layers() if backend == "torch" else ():
        kinds = {kind.__name__ for kind in type(layer).__mro__}
        if kinds & _EINSUM:
            return (f"Keras on the backend torch exports {layer.name!r} "
                    f"({type(layer).__name__}) as Einsum, which has no kernel")
    return ""


def _recurrent(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]


def _is_masked(layer: Any) -> bool:
    return any(
        getattr(tensor, "_keras_mask", None) is not None
        for node in getattr(layer, "_inbound_nodes", ()) for tensor in node.input_tensors)


def _refused(message: str) -> CompileError:
    return CompileError((Diagnostic(
        "TC0008", message,
        help="save the model, and load it with KERAS_BACKEND=tensorflow to export it"),))


def _arguments(model: Any, example_inputs: Any) -> tuple[Any, ...]:
    """What to call the model with; empty where it was called already."""
    if isinstance(example_inputs, tuple):
        return example_inputs
    if example_inputs is not None:
        return (example_inputs,)
    inputs = getattr(model, "inputs", None)
    if not inputs:
        if model.built:
            return ()
        raise UsageError((Diagnostic(
            "TC0403", f"the keras.Model {model.name!r} has no input shape yet",
            help="call it once, begin it with keras.Input, or pass example_inputs"),))
    import numpy as np

    zeros = [np.zeros([size or 1 for size in port.shape], str(port.dtype)) for port in inputs]
    return (zeros,) if len(zeros) > 1 else (zeros[0],)


def _without_erfc(proto: onnx.ModelProto) -> onnx.ModelProto:
    """TensorFlow's Gelu, written with an operator that ONNX does not have, as ONNX's own."""
    if all(node.op_type != "Erfc" for node in proto.graph.node):
        return proto
    return ir.to_proto(Repair(Diagnostics())(ir.from_proto(proto)).model)


def _fix_types(proto: onnx.ModelProto) -> None:
    """Keras casts what a mixed-precision model returns to its own type: float32, as computed."""
    outputs = {port.name: port.type.tensor_type for port in proto.graph.output}
    for node in proto.graph.node:
        if node.op_type != "Cast":
            continue
        (to,) = (attribute for attribute in node.attribute if attribute.name == "to")
        if to.i in _HALVES:
            to.i = onnx.TensorProto.FLOAT
            if node.output[0] in outputs:
                outputs[node.output[0]].elem_type = onnx.TensorProto.FLOAT


def _fix_batch(proto: onnx.ModelProto) -> None:
    """Dynamic first dimensions := 1; shapes noted for other tensors, now stale, are dropped."""
    initializers = {tensor.name for tensor in proto.graph.initializer}
    changed = False
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in initializers and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
            changed = True
    if changed:
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            dims = value.type.tensor_type.shape.dim
            if dims and not dims[0].HasField("dim_value"):
                dims[0].dim_value = 1

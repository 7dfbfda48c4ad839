"""`convert(model)`: a copy of a model in which every layer that has a ternary form takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import keras

from ternc.qat.conversion import Conversion, Skip, Skipping
from ternc.qat.keras.conv import TernaryConv1D, TernaryConv2D, TernaryDepthwiseConv2D
from ternc.qat.keras.dense import TernaryDense
from ternc.qat.keras.layer import TernaryLayer
from ternc.qat.keras.recurrent import TernaryGRU, TernaryLSTM

TERNARY: Final[Mapping[Any, type[TernaryLayer]]] = MappingProxyType({
    made.float_type: made
    for made in (
        TernaryDense, TernaryConv1D, TernaryConv2D, TernaryDepthwiseConv2D, TernaryLSTM,
        TernaryGRU)
})
"""The ternary layer for each layer of Keras that has one."""

_WRAPPERS: Final = (keras.layers.Bidirectional, keras.layers.TimeDistributed)


def convert(
    model: Any, scheme: str = "bitnet", *, skip: Skip = (), learn_scale: bool | None = None,
    activations: str | None = "none", eps: float = 1e-6, verbose: bool = True,
) -> Any:
    """A copy of `model` with ternary layers and the same weights; compile it before training.

    Dense, Conv1D, Conv2D, DepthwiseConv2D, LSTM and GRU are converted, also inside Bidirectional,
    TimeDistributed and nested models. Subclasses of these types are left alone. Layers keep their
    names. What was done is `.conversion` of the copy, and is printed unless `verbose` is off.

    Args:
        model: a Sequential or Functional model, which is left as it is.
        scheme: one of `ternc.quantize.SCHEMES`.
        skip: what to leave float: names, patterns of names like "block/*", types, or a function
            of name and layer. Networks usually keep their first and last layer.
        learn_scale: as `TernaryLayer` has it.
        activations: as `TernaryLayer` has it.
        eps: as `TernaryLayer` has it.
        verbose: whether to print the conversion.

    Raises:
        ValueError: An argument is unknown, a name or pattern in `skip` matches nothing, nothing
            is left to convert because the model is ternary already, or the model is a subclass
            of keras.Model, whose layers only its author can replace.
        TypeError: `model` is not a model.
    """
    options: dict[str, Any] = {
        "scheme": scheme, "learn_scale": learn_scale, "activations": activations, "eps": eps}
    # unknown arguments are reported even when there is nothing to convert
    TernaryDense(1, **options)
    _check_model(model)
    wanted = Skipping(skip, "/")
    converted: dict[str, str] = {}
    skipped: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    planned: set[int] = set()
    for name, layer in _layers(model):
        inner = _inner(layer)
        if isinstance(inner, TernaryLayer):
            skipped[name] = f"is a {type(inner).__name__} already"
        elif type(inner) in TERNARY:
            reason = wanted.reason(name, layer, inner) or _obstacle(inner)
            if reason:
                skipped[name] = reason
            else:
                planned.add(id(layer))
                converted[name] = TERNARY[type(inner)].__name__
        elif any(len(variable.shape) > 1 for variable in layer.weights):
            unsupported[name] = type(inner).__name__
    wanted.check()
    if not planned and any("already" in reason for reason in skipped.values()):
        raise ValueError("the model is ternary already: there is nothing left to convert")
    pairs: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        made = _ternary(layer, options) if id(layer) in planned else _copy(layer)
        if isinstance(layer, keras.layers.Layer):  # not what keras.ops put into the graph
            pairs.append((layer, made))
        return made

    made = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, copy in pairs:
        _copy_weights(layer, copy)
    made.conversion = Conversion(
        MappingProxyType(converted), MappingProxyType(skipped), MappingProxyType(unsupported))
    if verbose:
        print(made.conversion)
    return made


def _check_model(model: Any) -> None:
    if type(model) in TERNARY:
        name = TERNARY[type(model)].__name__
        raise TypeError(f"a model is expected: for a single layer use {name}.from_float(layer)")
    if not isinstance(model, keras.Model):
        raise TypeError(f"a keras.Model is expected, not a {type(model).__name__}")
    if not _is_graph(model):
        raise ValueError(
            f"{type(model).__name__} is a subclass of keras.Model: its layers cannot be replaced "
            "from outside; use the ternary layers in its constructor")


def _is_graph(model: Any) -> bool:
    # Model(inputs, outputs) makes an object of Keras's own Functional, which has no public name
    names = {kind.__name__ for kind in type(model).__mro__}
    return isinstance(model, keras.Sequential) or "Functional" in names


def _layers(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Layers by name, those of nested models as "model/layer"."""
    for layer in model.layers:
        name = f"{path}{layer.name}"
        if isinstance(layer, keras.Model) and _is_graph(layer):
            yield from _layers(layer, f"{name}/")
        else:
            yield name, layer


def _inner(layer: Any) -> Any:
    """What a wrapper applies, or the layer itself."""
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.forward_layer
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer


def _obstacle(layer: Any) -> str:
    """Why a layer of the right type cannot be converted all the same."""
    if getattr(layer, "quantization_mode", None):
        return f"is quantized to {layer.quantization_mode}"
    return "has LoRA weights" if getattr(layer, "lora_enabled", False) else ""


def _copy(layer: Any) -> Any:
    return layer.__class__.from_config(layer.get_config())


def _ternary(layer: Any, options: dict[str, Any]) -> Any:
    """The layer's ternary form without weights; for a wrapper, around that of what it applies."""
    if not isinstance(layer, _WRAPPERS):
        made = TERNARY[type(layer)]
        return made.from_config({**layer.get_config(), **options})
    config = layer.get_config()
    for key in ("layer", "backward_layer"):
        if config.get(key) is not None:
            inner = keras.saving.deserialize_keras_object(config[key])
            if type(inner) in TERNARY:
                config[key] = keras.saving.serialize_keras_object(_ternary(inner, options))
    return layer.__class__.from_config(config)


def _copy_weights(layer: Any, made: Any) -> None:
    if not layer.built or not layer.weights:
        return
    if not made.built:
        made.build_from_config(layer.get_build_config())
    if isinstance(layer, keras.layers.Bidirectional):
        _copy_weights(layer.forward_layer, made.forward_layer)
        _copy_weights(layer.backward_layer, made.backward_layer)
    elif isinstance(layer, keras.layers.TimeDistributed):
        _copy_weights(layer.layer, made.layer)
    elif isinstance(made, TernaryLayer) and not isinstance(layer, TernaryLayer):
        made.copy_from(layer)
    else:
        made.set_weights(layer.get_weights())

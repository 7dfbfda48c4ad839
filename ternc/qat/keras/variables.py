"""The variables of a ternary layer beside those of the float layer, and its checkpoints."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
from keras import ops

from ternc.qat.keras.activations import START
from ternc.qat.keras.rules import Rule, rule_named


class TernaryVariables(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Scales, the static step of the activations, the share of a warm-up."""

    kernel_names: ClassVar[tuple[str, ...]] = ("kernel",)
    channel_axes: ClassVar[int] = 1
    """How many of a kernel's last axes count its output channels."""
    scheme: str
    learn_scale: bool
    activations: str
    eps: float

    @property
    def _rule(self) -> Rule:
        return rule_named(self.scheme)

    def holder(self) -> Any:
        """The object whose attributes the kernels are: the layer, or its cell."""
        return self

    def _add_ternary_weights(self) -> None:
        """Scales, the activation's step, the share of a warm-up: after the kernels are built."""
        for name in self.kernel_names:
            # a kernel in half precision would give other codes than the one that is trained
            getattr(self.holder(), name)._autocast = False
        if self.learn_scale:
            for name in self.kernel_names:
                self._add(f"{name}_scale", self._scale_shape(name), self._starter(name))
        if self.activations == "int8_static":
            # The step is start + offset. Only the optimizer writes to trainable variables on
            # every backend, so the first batch's value goes into the other.
            self._add("activation_start", (), keras.initializers.Constant(START), trainable=False)
            self._add("activation_offset", (), "zeros")
        self._add("blend", (), "ones", trainable=False)

    def _add(self, name: str, shape: tuple[int, ...], initializer: Any, **options: Any) -> None:
        made = self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype="float32", autocast=False,
            aggregation="mean", **options)
        setattr(self, name, made)

    def _channels(self, name: str) -> int:
        shape = getattr(self.holder(), name).shape
        return math.prod(shape[len(shape) - self.channel_axes:])

    def _scale_shape(self, name: str) -> tuple[int, ...]:
        return (self._channels(name),) if self._rule.per_channel else ()

    def _starter(self, name: str) -> Any:
        """An initializer, evaluated only after the kernel's, which a backend may put off."""
        def start(shape: Any, dtype: Any = None) -> Any:
            return ops.cast(ops.reshape(self._start(name), shape), dtype or "float32")

        return start

    def _start(self, name: str) -> Any:
        """The scheme's own step, one or one per channel."""
        rows = self._rule.rows(getattr(self.holder(), name), self._channels(name))
        step = ops.cast(self._rule.start(rows)[1], "float32")
        return ops.where(step > 0, step, ops.full_like(step, self.eps))

    def reset_scales(self) -> None:
        """Sets learned scales to the scheme's values for the present kernels."""
        if self.learn_scale:
            for name in self.kernel_names:
                variable = getattr(self, f"{name}_scale")
                variable.assign(ops.reshape(self._start(name), variable.shape))

    def copy_from(self, layer: Any) -> None:
        """Takes the weights of a built float layer."""
        for mine, given in zip(self._float_variables(), layer.weights, strict=True):
            # as an array: on JAX the layers would share a buffer, which training gives away
            mine.assign(ops.convert_to_numpy(given))
        self.reset_scales()

    def _own_names(self) -> list[str]:
        """Attributes of the variables that a checkpoint keeps beside the float layer's."""
        names = [f"{name}_scale" for name in self.kernel_names] if self.learn_scale else []
        if self.activations == "int8_static":
            names += ["activation_start", "activation_offset"]
        return names

    def _float_variables(self) -> list[Any]:
        """The variables that the float layer has too, in its order."""
        own = {id(getattr(self, name)) for name in (*self._own_names(), "blend")}
        return [variable for variable in self.weights if id(variable) not in own]

    def save_own_variables(self, store: Any) -> None:
        """As the float layer's, and the ternary layer's own variables by name."""
        if self.built:
            for index, variable in enumerate(self._stored()):
                store[str(index)] = variable
            for name in self._own_names():
                store[name] = getattr(self, name)

    def load_own_variables(self, store: Any) -> None:
        """Also from a checkpoint of the float layer: its scales are those of its kernels.

        Raises:
            ValueError: The numbers of variables differ; or learned scales are missing where the
                kernels are loaded later, as those of a recurrent layer are.
        """
        stored, keys = self._stored() if self.built else [], set(store.keys())
        given = {key for key in keys if key.isdigit()}
        if given != {str(index) for index in range(len(stored))}:
            raise ValueError(
                f"layer {self.name!r} has {len(stored)} variables and its checkpoint "
                f"{len(given)}")
        for index, variable in enumerate(stored):
            variable.assign(store[str(index)])
        own = self._own_names() if self.built else []
        for name in own:
            if name in keys:
                getattr(self, name).assign(store[name])
        if self.learn_scale and own and own[0] not in keys:
            if not stored:
                raise ValueError(
                    f"the checkpoint has no scales for layer {self.name!r}: load it into the "
                    "float model and convert that")
            self.reset_scales()

    def _stored(self) -> list[Any]:
        """Those of the float variables that are the layer's own and not a cell's."""
        return self._float_variables() if self.holder() is self else []

"""What all ternary layers share: their arguments, and the kernels as the layer uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from keras import ops

from ternc.qat.keras.activations import (
    activations_named,
    dynamic_int8,
    first_step,
    static_int8,
)
from ternc.qat.keras.gradients import scaled_codes
from ternc.qat.keras.rules import rule_named, wide_dtype
from ternc.qat.keras.variables import TernaryVariables


class TernaryLayer(TernaryVariables):
    """Mixed into a layer of Keras: its kernels stay variables, its output is of ternary ones.

    Args common to all layers, beside those of the Keras layer:
        scheme: one of `ternc.quantize.SCHEMES`.
        learn_scale: scales are variables, `<kernel>_scale`, that start at the scheme's value;
            None: for the schemes that are defined so, lsq and paretoq.
        activations: how the input is quantized: "none", "int8_dynamic" or "int8_static".
        eps: the least scale of a learned step and of an int8 activation.
    """

    float_type: ClassVar[Any]
    sample_activations: ClassVar[bool] = False

    def __init__(
        self, *args: Any, scheme: str = "bitnet", learn_scale: bool | None = None,
        activations: str | None = "none", eps: float = 1e-6, **kwargs: Any,
    ) -> None:
        rule = rule_named(scheme)
        quantized = activations_named(activations)
        if not eps > 0:
            raise ValueError(f"eps must be above 0, not {eps}")
        if kwargs.get("lora_rank"):
            raise ValueError("a ternary layer has no LoRA: its kernel is trained itself")
        super().__init__(*args, **kwargs)
        self.scheme, self.eps, self.activations = scheme, float(eps), quantized
        self.learn_scale = rule.limit is not None if learn_scale is None else bool(learn_scale)

    @classmethod
    def from_float(cls, layer: Any, scheme: str = "bitnet", **options: Any) -> Self:
        """A ternary layer with the arguments of `layer` and, where it has them, its weights.

        Raises:
            TypeError: `layer` is not the layer's counterpart in Keras.
            ValueError: `layer` is ternary already, or an argument is unknown.
        """
        if isinstance(layer, TernaryLayer):
            raise ValueError(  # noqa: TRY004 - the type is right, the layer was converted before
                f"the {type(layer).__name__} is ternary already")
        if type(layer) is not cls.float_type:
            raise TypeError(
                f"{cls.__name__} replaces {cls.float_type.__name__}, not {type(layer).__name__}")
        made: Self = cls.from_config({**layer.get_config(), "scheme": scheme, **options})
        if layer.built:
            made.build_from_config(layer.get_build_config())
            made.copy_from(layer)
        return made

    def get_config(self) -> dict[str, Any]:
        """The float layer's arguments and the ternary layer's own."""
        return {
            **super().get_config(), "scheme": self.scheme, "learn_scale": self.learn_scale,
            "activations": self.activations, "eps": self.eps}

    def _codes_and_step(self, name: str) -> tuple[Any, Any]:
        """Codes shaped as the kernel, and the step that broadcasts against it."""
        kernel, rule = getattr(self.holder(), name), self._rule
        rows = rule.rows(kernel, self._channels(name))
        if not self.learn_scale:
            codes, step = rule.start(rows)
        else:
            learned = ops.stop_gradient(ops.convert_to_tensor(getattr(self, f"{name}_scale")))
            step = ops.cast(ops.reshape(ops.maximum(learned, self.eps), (-1,)), wide_dtype())
            codes = rule.start(rows)[0] if rule.at is None else rule.at(rows, step)
        if rule.per_channel:
            codes = ops.transpose(codes)
        # rounded to float32, in which it would be learned
        step = ops.cast(ops.cast(step, "float32"), wide_dtype())
        return ops.reshape(codes, kernel.shape), ops.reshape(step, self._aligned(name))

    def _aligned(self, name: str) -> tuple[int, ...]:
        """A shape for scales that broadcasts against the kernel."""
        shape = getattr(self.holder(), name).shape
        last = shape[len(shape) - self.channel_axes:]
        if not self._rule.per_channel:
            last = (1,) * len(last)
        return (1,) * (len(shape) - len(last)) + tuple(last)

    def ternary(self, name: str = "kernel") -> tuple[npt.NDArray[np.int8], npt.NDArray[Any]]:
        """Codes -1, 0, 1 of a kernel, and its scale: one, or one per output channel."""
        codes, step = self._codes_and_step(name)
        scale = ops.convert_to_numpy(ops.cast(step * self._rule.level, "float32"))
        return (
            ops.convert_to_numpy(codes).astype(np.int8), scale.reshape(self._scale_shape(name)))

    def used(self, name: str = "kernel", *, training: bool = False) -> Any:
        """The kernel of the forward pass: ternary, or on its way there during a warm-up."""
        kernel, rule = ops.convert_to_tensor(getattr(self.holder(), name)), self._rule
        codes, step = self._codes_and_step(name)
        learned = None
        if self.learn_scale:
            # the value is clamped, the gradient is not: a step below eps finds its way back
            learned = ops.reshape(
                ops.convert_to_tensor(getattr(self, f"{name}_scale")), self._aligned(name))
        value = scaled_codes(kernel, step, codes, rule.level, rule.limit, learned)
        if training:
            blend = ops.convert_to_tensor(self.blend)
            value = (1.0 - blend) * kernel + blend * value
        return ops.cast(value, self.compute_dtype)

    def quantized_input(self, x: Any, *, training: bool = False) -> Any:
        """The input as the layer's arithmetic sees it."""
        x = ops.convert_to_tensor(x)
        if self.activations == "int8_dynamic":
            return dynamic_int8(x, self.eps, sample=self.sample_activations, training=training)
        if self.activations == "int8_static":
            start = ops.convert_to_tensor(self.activation_start)
            if training:
                start = ops.where(start < 0, first_step(x, self.eps), start)
                self.activation_start.assign(start)
            step = ops.abs(start) + self.activation_offset
            return static_int8(x, step, self.eps, training=training)
        return x

    @contextlib.contextmanager
    def _ternary_in_place(self, training: bool) -> Iterator[None]:
        """The kernels are ternary tensors while Keras's own forward pass runs."""
        holder = self.holder()
        names = {name: _attribute(holder, name) for name in self.kernel_names}
        used = {names[name]: self.used(name, training=training) for name in self.kernel_names}
        kept: Mapping[str, Any] = {name: holder.__dict__[name] for name in used}
        # past Keras's __setattr__, which would track what it is given
        holder.__dict__.update(used)
        try:
            yield
        finally:
            holder.__dict__.update(kept)


def _attribute(holder: Any, name: str) -> str:
    """Where the layer keeps the variable: some have it behind a property."""
    variable = getattr(holder, name)
    for key in (f"_{name}", name):
        if holder.__dict__.get(key) is variable:
            return key
    raise AttributeError(f"{type(holder).__name__} keeps its {name} elsewhere")

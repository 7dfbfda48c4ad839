"""What all ternary layers share: the scheme, learned scales, the weight as the layer uses it."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from ternc.qat.torch.activations import StaticInt8, quantizer
from ternc.qat.torch.gradients import ScaledCodes
from ternc.qat.torch.rules import Rule, rule_named


class _Frozen(NamedTuple):
    """What an exporter gets: codes and scale, and the parameter's state when they were made."""

    codes: Tensor
    scale: Tensor
    made_from: tuple[Tensor, ...]
    versions: tuple[int, ...]

    @property
    def fresh(self) -> bool:
        """Whether the parameters have not been written to since."""
        return tuple(tensor._version for tensor in self.made_from) == self.versions


class TernaryLayer(nn.Module):
    """Mixed into a layer of `torch.nn`: the weights stay parameters, ternary ones compute.

    Args common to all layers:
        eps: the least scale of a learned step and of an int8 activation.
        scheme: one of `ternc.quantize.SCHEMES`; `quant_type` is another name for it.
        learn_scale: scales are parameters, `<weight>_scale`, that start at the scheme's value;
            None: for the schemes that are defined so, lsq and paretoq.
        activations: how the input is quantized: "none", "int8_dynamic" or "int8_static".
    """

    float_type: ClassVar[type[nn.Module]]
    sample_activations: ClassVar[bool] = False
    scheme: str
    learn_scale: bool
    activations: str
    eps: float

    def _set_up(
        self, eps: float, scheme: str, quant_type: str | None, learn_scale: bool | None,
        activations: str | None,
    ) -> None:
        if quant_type is not None:
            if scheme not in ("bitnet", quant_type):
                raise ValueError(f"scheme={scheme!r} and quant_type={quant_type!r} contradict")
            scheme = quant_type
        rule = rule_named(scheme)
        if not eps > 0:
            raise ValueError(f"eps must be above 0, not {eps}")
        self.scheme, self.eps = scheme, float(eps)
        self.learn_scale = rule.limit is not None if learn_scale is None else bool(learn_scale)
        self.activations = activations or "none"
        names = self.ternary_names()
        first = getattr(self, names[0])
        self.activation = quantizer(
            activations, eps, first, sample=self.sample_activations)
        if self.activation is not None:
            self.activation.requires_grad_(first.requires_grad)  # a frozen layer stays frozen
        self._frozen: dict[str, _Frozen] = {}
        # the share of ternary weights during a warm-up, None outside of one
        self.register_buffer("blend", None, persistent=False)
        if self.learn_scale:
            for name in names:
                weight = getattr(self, name)
                self.register_parameter(f"{name}_scale", nn.Parameter(
                    self._start(weight), requires_grad=weight.requires_grad))

    @classmethod
    def from_float(
        cls, module: nn.Module, scheme: str = "bitnet", *, eps: float = 1e-6,
        quant_type: str | None = None, learn_scale: bool | None = None,
        activations: str | None = "none",
    ) -> Self:
        """A ternary layer with the parameters (the same objects), mode and hooks of `module`.

        Raises:
            TypeError: `module` is not the layer's counterpart in `torch.nn`.
            ValueError: `module` is ternary already, or an argument is unknown.
        """
        if isinstance(module, TernaryLayer):
            raise ValueError(f"the {type(module).__name__} is ternary already")  # noqa: TRY004
        if type(module) is not cls.float_type:
            raise TypeError(
                f"{cls.__name__} replaces {cls.float_type.__name__}, not {type(module).__name__}")
        layer = cls.__new__(cls)
        # Containers are copied one level deep, so that neither layer sees the other's changes.
        layer.__dict__.update({
            key: copy.copy(value) if isinstance(value, (dict, list)) else value
            for key, value in module.__dict__.items()
        })
        layer._set_up(eps, scheme, quant_type, learn_scale, activations)
        return layer

    def ternary_names(self) -> tuple[str, ...]:
        """Names of the parameters that are ternary in use."""
        return ("weight",)

    @property
    def _rule(self) -> Rule:
        return rule_named(self.scheme)

    @torch.no_grad()
    def _start(self, weight: Tensor) -> Tensor:
        """The scheme's own step, one or one per channel."""
        rule = self._rule
        step = rule.start(rule.rows(weight))[1].to(torch.float32)
        step = torch.where(step > 0, step, self.eps)
        return step if rule.per_channel else step.reshape(())

    @torch.no_grad()
    def reset_scales(self) -> None:
        """Sets learned scales to the scheme's values for the present weights."""
        if self.learn_scale:
            for name in self.ternary_names():
                getattr(self, f"{name}_scale").copy_(self._start(getattr(self, name)))

    def _step_of(self, name: str) -> Tensor | None:
        return getattr(self, f"{name}_scale") if self.learn_scale else None

    @torch.no_grad()
    def _codes_and_step(self, name: str) -> tuple[Tensor, Tensor]:
        """Codes shaped as the weight, and the step that broadcasts against it."""
        weight, learned, rule = getattr(self, name), self._step_of(name), self._rule
        rows = rule.rows(weight)
        if learned is None:
            codes, step = rule.start(rows)
        else:
            step = learned.detach().clamp(min=self.eps).reshape(-1)
            codes = rule.start(rows)[0] if rule.at is None else rule.at(rows, step.to(rows.dtype))
        shape = [-1, *[1] * (weight.dim() - 1)]
        return codes.reshape(weight.shape), step.to(torch.float32).reshape(shape)

    @torch.no_grad()
    def ternary(self, name: str = "weight") -> tuple[Tensor, Tensor]:
        """Codes -1, 0, 1 (int8) of a weight, and its scale: one, or one per output channel."""
        codes, step = self._codes_and_step(name)
        wide = step.double() if step.device.type != "mps" else step
        scale = (wide * self._rule.level).to(step.dtype).reshape(-1)
        return codes.to(torch.int8), scale if self._rule.per_channel else scale.reshape(())

    def used(self, name: str = "weight") -> Tensor:
        """The weight of the forward pass: ternary, or on its way there during a warm-up."""
        weight, learned, rule = getattr(self, name), self._step_of(name), self._rule
        if not self.training and torch.compiler.is_exporting():
            frozen = self._frozen.get(name)
            if frozen is not None and frozen.fresh:
                scale = frozen.scale.reshape(-1, *[1] * (weight.dim() - 1))
                value = frozen.codes.to(weight.device).to(weight.dtype)
                return value * scale.to(weight.device).to(weight.dtype)
        elif not self.training:
            self._freeze()
        codes, step = self._codes_and_step(name)
        if learned is not None:
            # the value is clamped, the gradient is not: a step below eps finds its way back
            live = learned.reshape(step.shape)
            step = live if not live.requires_grad else live + (step - live).detach()
        value = ScaledCodes.apply(weight, step, codes, rule.level, rule.limit)
        if self.training and self.blend is not None:
            value = torch.lerp(weight, value, self.blend.to(weight.dtype))
        result: Tensor = value
        return result

    def _freeze(self) -> None:
        """Keeps the codes for an exporter.

        While it traces, an exporter puts stand-ins without values where the parameters are, and
        schemes that sort cannot all be folded from its graph. Eager calls never read these codes.
        """
        if torch.compiler.is_compiling() or getattr(self, "_is_replica", False):
            return
        for name in self.ternary_names():
            weight = getattr(self, name)
            if type(weight) is nn.Parameter and weight.device.type != "meta":
                learned = self._step_of(name)
                sources = (weight,) if learned is None else (weight, learned)
                codes, scale = self.ternary(name)
                self._frozen[name] = _Frozen(
                    codes, scale, sources, tuple(tensor._version for tensor in sources))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self._frozen.clear()
        if not mode:
            self._freeze()
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        # recurrent layers put the ternary weights there for a call: the parameters stay
        if name != "_flat_weights" and "_frozen" in self.__dict__:
            self._frozen.clear()
        super().__setattr__(name, value)

    def quantized_input(self, x: Tensor) -> Tensor:
        """The input as the layer's arithmetic sees it."""
        return x if self.activation is None else self.activation(x)

    def deploy(self) -> nn.Module:
        """The layer for inference, with packed weights; this one is left as it is."""
        from ternc.qat.torch.deployed import deployed

        return deployed(self)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        """Lets a checkpoint of the float layer load: its scales are those of its weights.

        A static step is then the next training batch's.
        """
        names = self.ternary_names()
        if self.learn_scale:
            for name in names:
                key = f"{prefix}{name}_scale"
                if key not in state_dict and prefix + name in state_dict:
                    state_dict[key] = self._start(state_dict[prefix + name])
        step = f"{prefix}activation.step"
        if isinstance(self.activation, StaticInt8) and step not in state_dict \
                and prefix + names[0] in state_dict:
            state_dict[step] = torch.zeros_like(self.activation.step)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._frozen.clear()
        if not self.training:
            self._freeze()

    def extra_repr(self) -> str:
        learned = ", learn_scale=True" if self.learn_scale else ""
        quantized = "" if self.activation is None else f", activations={self.activations}"
        return f"{super().extra_repr()}, scheme={self.scheme}{learned}{quantized}"

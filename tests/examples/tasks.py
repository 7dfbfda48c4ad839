"""The tasks of the accuracy table: data, network, recipe, and the networks to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from torch import nn

from ternc.qat.torch import ternarize
from tests.examples import augment, datasets, networks
from tests.examples.training import Augment, Recipe


@dataclass(frozen=True, slots=True)
class Variant:
    """A float network, or a ternary one by a scheme, at a width."""

    scheme: str | None = None
    width: float = 1.0
    warm: float = 0.0
    teacher: str | None = None
    skip: tuple[str, ...] = ("first", "last")
    learn_scale: bool | None = None

    def build(self, network: Callable[[float], nn.Module]) -> nn.Module:
        """The network, untrained."""
        model = network(self.width)
        if self.scheme is not None:
            ternarize(model, self.scheme, skip=self.skip, learn_scale=self.learn_scale)
        return model


@dataclass(frozen=True, slots=True)
class Task:
    """What to train on, how, and which variants the table has."""

    load: Callable[[Path], datasets.Split]
    network: Callable[[float], nn.Module]
    augment: Augment
    recipe: Recipe
    variants: MappingProxyType[str, Variant]
    trials: MappingProxyType[str, Variant] = field(default_factory=lambda: MappingProxyType({}))
    held_out: float = 0.1


_PAIR: Final = MappingProxyType({"float": Variant(), "ternary": Variant("twn")})
_SHORTCUTS: Final = ("first", "last", "*.shortcut")
_SCHEMES: Final = MappingProxyType({
    "float": Variant(),
    "bitnet": Variant("bitnet"),
    "channel": Variant("bitnet_channel"),
    "twn": Variant("twn"),
    "lsq": Variant("lsq"),
    "warm": Variant("bitnet", warm=0.2),
})


def _series(load: Callable[[Path], datasets.Split], channels: int, classes: int) -> Task:
    return Task(
        load, partial(networks.Series, channels=channels, classes=classes), augment.jitter,
        Recipe(epochs=200, batch=16 if channels != 3 else 64, rate=3e-3), _PAIR, _SCHEMES,
        0.25)


TASKS: Final = MappingProxyType({
    "mnist": Task(
        datasets.mnist, networks.Digits, augment.affine_and_elastic,
        Recipe(epochs=100, batch=256, rate=5e-3), _PAIR, _SCHEMES),
    "cifar10": Task(
        datasets.cifar10, networks.ResNet8, augment.crop_and_flip,
        Recipe(epochs=200, batch=256, rate=1.5e-2, decay=1e-2),
        MappingProxyType({
            "float": Variant(),
            "ternary": Variant("twn", skip=_SHORTCUTS),
            "wide": Variant("twn", width=1.5, skip=_SHORTCUTS),
        }),
        MappingProxyType({
            **_SCHEMES,
            "shortcuts": Variant("twn", skip=_SHORTCUTS),
        })),
    "fsdd": Task(
        datasets.fsdd, networks.Keywords, augment.shift_and_mask,
        Recipe(epochs=100, batch=64, rate=3e-3), _PAIR, _SCHEMES),
    "fsdd-speaker": Task(
        partial(datasets.fsdd, speaker=5), networks.Keywords, augment.shift_and_mask,
        Recipe(epochs=100, batch=64, rate=3e-3), _PAIR, _SCHEMES),
    "exercises": _series(datasets.exercises, 3, 4),
    "basicmotions": _series(partial(datasets.series, name="BasicMotions"), 6, 4),
    "ecgfivedays": _series(partial(datasets.series, name="ECGFiveDays"), 1, 2),
})

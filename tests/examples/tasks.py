"""The tasks of the accuracy table: data, network, recipe, and the networks to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from torch import nn

from ternc.qat.torch import ternarize
from tests.examples import augment, datasets, networks, transformer
from tests.examples.training import Augment, Recipe


@dataclass(frozen=True, slots=True)
class Variant:
    """A float network, or a ternary one by a scheme, at a width, and how it is trained.

    `start` and `teacher` name variants that are trained before: the weights to begin with, and
    the network to distill from. `epochs` and `rate` are shares of the recipe's; `network`,
    `augment` and `calm`, where given, replace the task's.
    """

    scheme: str | None = None
    width: float = 1.0
    warm: float = 0.0
    start: str | None = None
    teacher: str | None = None
    epochs: float = 1.0
    rate: float = 1.0
    skip: tuple[str, ...] = ("first", "last")
    learn_scale: bool | None = None
    network: Callable[[float], nn.Module] | None = None
    augment: Augment | None = None
    calm: float | None = None

    def build(self, network: Callable[[float], nn.Module]) -> nn.Module:
        """The network (the task's, unless it has its own), untrained."""
        model = (self.network or network)(self.width)
        if self.scheme is not None:
            ternarize(model, self.scheme, skip=self.skip, learn_scale=self.learn_scale)
        return model

    def recipe(self, recipe: Recipe) -> Recipe:
        """The task's recipe with this variant's changes."""
        return replace(
            recipe, epochs=max(round(recipe.epochs * self.epochs), 1),
            rate=recipe.rate * self.rate, calm=recipe.calm if self.calm is None else self.calm)


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

    @property
    def known(self) -> dict[str, Variant]:
        """The variants of the table and of trials by name."""
        return {**self.trials, **self.variants}


_PAIR: Final = MappingProxyType({"float": Variant(), "ternary": Variant("twn")})
# networks whose first layer is the recurrent one
_CELLS: Final = MappingProxyType({
    "float": Variant(), "ternary": Variant("twn", skip=("last",))})
_TUNED: Final = MappingProxyType({
    **_PAIR, "tuned": Variant("twn", start="float")})
# networks with convolutions before the recurrent layer
_FRONT: Final = MappingProxyType({
    "float": Variant(), "ternary": Variant("twn", skip=("front.0.0", "last")),
    "tuned": Variant("twn", start="float", skip=("front.0.0", "last"))})
_JITTERED: Final = MappingProxyType({
    **_FRONT, "float-jitter": Variant(augment=augment.jitter),
    "ternary-jitter": replace(_FRONT["ternary"], augment=augment.jitter)})
_SCHEMES: Final = MappingProxyType({
    "float": Variant(),
    "bitnet": Variant("bitnet"),
    "channel": Variant("bitnet_channel"),
    "twn": Variant("twn"),
    "lsq": Variant("lsq"),
    "warm": Variant("bitnet", warm=0.2),
})


def _series(
    load: Callable[[Path], datasets.Split], channels: int, classes: int,
    change: Augment = augment.jitter, more: int = 0, **recipe: Any,
) -> Task:
    return Task(
        load, partial(networks.Series, channels=channels, classes=classes, more=more), change,
        replace(Recipe(epochs=200, batch=16, rate=3e-3), **recipe), _TUNED,
        MappingProxyType({
            **_SCHEMES,
            "plain": Variant("twn"),
            "tuned": Variant("twn", start="float"),
            "float-jitter": Variant(augment=augment.jitter),
            "ternary-jitter": Variant("twn", augment=augment.jitter),
            "float-three": Variant(network=partial(
                networks.Series, channels=channels, classes=classes)),
            "ternary-three": Variant("twn", network=partial(
                networks.Series, channels=channels, classes=classes)),
            "tuned-tenth": Variant("twn", start="float", rate=0.1),
            "tuned-warm": Variant("twn", start="float", rate=0.3, warm=0.2),
            "distilled": Variant("twn", start="float", teacher="float", rate=0.3),
        }), 0.25)


def _exercises(part: int) -> Task:
    return _series(
        partial(datasets.exercises, part=part), 3, 4, _TURNED, more=1, batch=64, average=0.99)


def _small(
    load: Callable[[Path], datasets.Split], channels: int, classes: int, change: Augment,
    recipe: Recipe, size: int, others: tuple[int, ...], more: int = 0,
) -> Task:
    """A network of `size` channels, and that of `_series` with `more` layers as its teacher.

    Trials have networks of other sizes, and other ways to train ternary ones.
    """
    network = partial(networks.SeparableSeries, channels=channels, classes=classes)
    trials = dict(_TUNED)
    for other in others:
        made = partial(network, size=other)
        trials[f"float-of-{other}"] = Variant(network=made)
        trials[f"ternary-of-{other}"] = Variant("twn", network=made)
        trials[f"tuned-of-{other}"] = Variant("twn", start=f"float-of-{other}", network=made)
    teacher = partial(networks.Series, channels=channels, classes=classes, more=more)
    return Task(
        load, partial(network, size=size), change, recipe,
        MappingProxyType({
            **_PAIR, "teacher": Variant(network=teacher),
            "ternary-distilled": Variant("twn", teacher="teacher")}),
        MappingProxyType({
            **trials,
            "tuned-slow": Variant("twn", start="float", rate=0.3),
            "tuned-slow-learned": Variant("twn", start="float", rate=0.3, learn_scale=True),
            "tuned-distilled": Variant("twn", start="float", teacher="teacher"),
            "tuned-slow-distilled": Variant(
                "twn", start="float", teacher="teacher", rate=0.3)}),
        0.25)


def _small_exercises(part: int) -> Task:
    return _small(
        partial(datasets.exercises, part=part), 3, 4, _TURNED,
        Recipe(epochs=200, batch=64, rate=3e-3, average=0.99), 16, (8, 12, 24), more=1)


def _cells(
    load: Callable[[Path], datasets.Split], network: Callable[[float], nn.Module],
    augment: Augment, recipe: Recipe,
) -> Task:
    return Task(load, network, augment, recipe, _CELLS, MappingProxyType({
        **_CELLS, "tuned": Variant("twn", start="float", skip=("last",))}))


def _beats_lstm(hidden: int, first: int) -> Task:
    return Task(
        _BEATS, partial(
            networks.Recurrent, kind=nn.LSTM, hidden=hidden, inputs=1, classes=2,
            front=((first, 7, 2), (hidden, 5, 2))),
        _WANDER, Recipe(epochs=1000, batch=23, rate=3e-3, clip=1.0, average=0.98), _FRONT,
        _JITTERED, 0.25)


_GRU: Final = partial(networks.Recurrent, kind=nn.GRU, inputs=32, classes=10)
_LSTM: Final = partial(networks.Recurrent, kind=nn.LSTM, hidden=32)
_DIGITS: Final = partial(networks.Digits, sizes=(16, 16, 32, 32, 54))
_DIGITS_DEEP: Final = partial(networks.Digits, sizes=(16, 16, 24, 32, 32, 32))
_MILD: Final = partial(
    augment.affine_and_elastic, degrees=7, scale=0.07, shear=0.07, shift=1.5, elastic=1.0)
_STRONG: Final = partial(
    augment.affine_and_elastic, degrees=14, scale=0.14, shear=0.14, shift=2.5, elastic=2.0)
# 75,168 weights in 3x3 convolutions, ResNet8 has 73,728
_DEEPER: Final = partial(networks.ResNet8, sizes=(12, 24, 40), depth=2)
_SHORTCUTS: Final = ("first", "last", "*.shortcut")
_SPOKEN: Final = Recipe(epochs=100, batch=64, rate=3e-3)
_SPOKEN_CELLS: Final = replace(_SPOKEN, epochs=200, clip=1.0)
_MOTIONS: Final = partial(datasets.series, name="BasicMotions")
_BEATS: Final = partial(datasets.series, name="ECGFiveDays")
_WANDER: Final = partial(
    augment.distort, shift=8, warp=3, wander=0.3, noise=0.1, scale=0.2)
_TURNED: Final = partial(augment.distort, rotate=0.1)
_speaker: Final = partial(datasets.fsdd, speaker=5)

TASKS: Final = MappingProxyType({
    "mnist": Task(
        datasets.mnist, _DIGITS, augment.affine_and_elastic,
        Recipe(epochs=150, batch=256, rate=5e-3, calm=0.15), _PAIR,
        MappingProxyType({
            **_SCHEMES,
            "never-calm": Variant("twn", calm=0.0),
            "mild": Variant("twn", augment=_MILD, calm=0.0),
            "strong": Variant("twn", augment=_STRONG, calm=0.0),
            "deeper": Variant("twn", network=_DIGITS_DEEP, calm=0.0),
            "teacher": Variant(width=3.0, calm=0.0),
            "distilled": Variant("twn", teacher="teacher", calm=0.0),
            "deeper-distilled": Variant(
                "twn", network=_DIGITS_DEEP, teacher="teacher", calm=0.0),
        })),
    "mnist-vit": Task(
        datasets.mnist, transformer.VisionTransformer, augment.affine_and_elastic,
        Recipe(epochs=60, batch=256, rate=5e-3, decay=5e-2), _PAIR, _SCHEMES),
    "cifar10-vit": Task(
        datasets.cifar10, partial(transformer.VisionTransformer, image=32, channels=3, size=96),
        augment.crop_and_flip, Recipe(epochs=100, batch=512, rate=3e-3, decay=5e-2), _PAIR,
        MappingProxyType({
            **_PAIR,
            "tuned": Variant("twn", start="float", epochs=0.5, rate=0.5),
            "wide": Variant("twn", width=4 / 3),
            "deep": Variant("twn", network=partial(
                transformer.VisionTransformer, image=32, channels=3, size=96, depth=6)),
        })),
    "cifar10": Task(
        datasets.cifar10, networks.ResNet8, augment.crop_and_flip,
        Recipe(epochs=200, batch=256, rate=1.5e-2, decay=1e-2),
        MappingProxyType({
            "float": Variant(),
            "ternary": Variant("twn", skip=_SHORTCUTS),
            "wide": Variant("twn", width=1.5, skip=_SHORTCUTS),
            "deep": Variant("twn", skip=_SHORTCUTS, network=_DEEPER),
            "tuned": Variant("twn", start="float", epochs=0.3, rate=0.3, skip=_SHORTCUTS),
            "tuned-distilled": Variant(
                "twn", start="float", teacher="float", epochs=0.3, rate=0.3, skip=_SHORTCUTS),
            "tuned-longer": Variant("twn", start="float", rate=0.5, skip=_SHORTCUTS),
            "tuned-longer-distilled": Variant(
                "twn", start="float", teacher="float", rate=0.5, skip=_SHORTCUTS),
        }),
        MappingProxyType({
            **_SCHEMES,
            "plain": Variant("twn", skip=_SHORTCUTS),
            "tenth-of-the-rate": Variant("twn", skip=_SHORTCUTS, rate=0.1),
            "third-of-the-rate": Variant("twn", skip=_SHORTCUTS, rate=1 / 3),
            "three-times-the-epochs": Variant("twn", skip=_SHORTCUTS, epochs=3),
            "warmed-up": Variant("twn", skip=_SHORTCUTS, warm=0.2),
            "norm-first": Variant(
                "twn", skip=_SHORTCUTS, network=partial(networks.ResNet8, norm_first=True)),
            "tuned-fast": Variant("twn", start="float", epochs=0.3, skip=_SHORTCUTS),
            "tuned-fast-distilled": Variant(
                "twn", start="float", teacher="float", epochs=0.3, skip=_SHORTCUTS),
            "shortcuts-ternary": Variant("twn"),
            "last-ternary": Variant("twn", skip=("first", "*.shortcut")),
            "first-ternary": Variant("twn", skip=("last", "*.shortcut")),
            "all-ternary": Variant("twn", skip=()),
        })),
    "fsdd": Task(
        datasets.fsdd, networks.Keywords, augment.shift_and_mask, _SPOKEN, _PAIR, _SCHEMES),
    "fsdd-speaker": Task(
        _speaker, networks.Keywords, augment.shift_and_mask, _SPOKEN, _PAIR, _SCHEMES),
    "fsdd-gru": _cells(datasets.fsdd, _GRU, augment.shift_and_mask, _SPOKEN_CELLS),
    "fsdd-gru-speaker": _cells(_speaker, _GRU, augment.shift_and_mask, _SPOKEN_CELLS),
    "exercises": _exercises(0),
    # for more test samples: the other fourths of the recordings
    **{f"exercises-{part}": _exercises(part) for part in (1, 2, 3)},
    "exercises-small": _small_exercises(0),
    **{f"exercises-small-{part}": _small_exercises(part) for part in (1, 2, 3)},
    "basicmotions": _series(_MOTIONS, 6, 4),
    "basicmotions-small": _small(
        _MOTIONS, 6, 4, augment.jitter,
        Recipe(epochs=1000, batch=16, rate=3e-3, average=0.98), 4, (2, 3, 8)),
    "basicmotions-lstm": Task(
        _MOTIONS, partial(_LSTM, inputs=6, classes=4, front=((32, 7, 2),)),
        partial(augment.distort, shift=4, warp=2, wander=0.1),
        Recipe(epochs=300, batch=16, rate=3e-3, clip=1.0, average=0.98), _FRONT, _JITTERED, 0.25),
    "ecgfivedays": _series(_BEATS, 1, 2, _WANDER, batch=23, epochs=1000, average=0.98),
    "ecgfivedays-lstm": _beats_lstm(32, 24),
    "ecgfivedays-lstm-small": _beats_lstm(8, 8),
})

"""Measuring choices of ternary layers for mixed precision, each once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics
from ternc.labels import class_numbers, read_labels
from ternc.passes._graph import constant
from ternc.quality import SURE, Array, Drop, Measure, Scores, answer, scores
from ternc.reconstruction.reconstruct import Memo

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.passes.split_channels import Split
    from ternc.precision import Precision

OWN_ANSWERS: Final = "model"  # as labels: what the float model answers
_SELECT: Final = 1000  # samples that the search looks at; more make it slow, and no surer
_PROMISING: Final = 0.5  # chance of a proof that the search is content with


@dataclass(frozen=True, slots=True)
class Price:
    """What a compiled model takes."""

    flash_bytes: int
    instructions: int
    arena_bytes: int


@dataclass(slots=True)
class Part:
    """Some of the samples, with the float model's outputs and the labels."""

    samples: Samples
    expected: list[Array]
    labels: Array | None

    def score(self, model: onnx.ModelProto) -> Scores:
        """Scores of `model` on these samples."""
        return scores(self.expected, outputs(model, self.samples), self.labels)


@dataclass(slots=True)
class Choice:
    """A compiled choice and its scores: on the samples that select, and on the others.

    `splits` are the layers of which some output channels are ternary, and where they are split.
    `wide` are the layers with int16 activations.
    """

    ternary: tuple[str, ...]
    splits: Mapping[str, Split]
    price: Price
    model: onnx.ModelProto
    select: Scores
    wide: tuple[str, ...] = ()
    confirm: Scores | None = field(default=None)


class Search:
    """Compiles and measures choices of ternary layers.

    The samples are split in three: those that the weights are fitted to, those that a choice is
    made by, and those that confirm it and have chosen nothing.
    """

    def __init__(
        self, model: ir.Model, precision: Precision, data: Samples, labels: Any,
        evaluation: Samples | None, price: Callable[[ir.Model], Price],
    ) -> None:
        self.base = ir.to_proto(model)
        self.precision = precision
        self.price = price
        self.fit, check, given = _split(data, labels, evaluation)
        expected = list(outputs(self.base, check))
        if isinstance(given, str):
            given = np.array([answer(output) for output in expected])
        self.measure: Measure = "sqnr" if given is None else "accuracy"
        step = max(3, -(-len(expected) // _SELECT)) if len(expected) >= 3 else 1
        chosen = [index % step == 0 for index in range(len(expected))]
        self.selecting = _part(check, expected, given, chosen)
        self.confirming = self.selecting if step == 1 else _part(
            check, expected, given, [not taken for taken in chosen])
        self._choices: dict[tuple[frozenset[str], frozenset[str]], Choice] = {}
        self.memo = Memo()

    def choice(
        self, ternary: Sequence[str], splits: Mapping[str, Split] | None = None, *,
        wide: Sequence[str] = (),
    ) -> Choice:
        """Compiles with these layers ternary as `apply` would, and scores.

        Layers named in `splits` are split into some output channels and the rest, and `ternary`
        may name either part. Those in `wide` get int16 activations. A layer is split in one order
        only, which its fits are remembered by.
        """
        from ternc.passes.split_channels import SplitChannels
        from ternc.precision import apply

        key = frozenset(ternary), frozenset(wide)
        if key not in self._choices:
            model = ir.from_proto(self.base)
            SplitChannels(splits or {})(model)
            keep = {node: kept for node, kept in self.precision.keep.items() if kept != "ternary"}
            keep |= dict.fromkeys(ternary, "ternary") | dict.fromkeys(wide, "int16")
            names = _in_order(model, key[0])
            asked = replace(self.precision, ternarize=None, weights="auto", keep=keep,
                            max_drop=None)
            apply(model, asked, Diagnostics(), self.fit, memo=self.memo)
            proto = ir.to_proto(model)
            self._choices[key] = Choice(names, splits or {}, self.price(model), proto,
                                        self.selecting.score(proto), tuple(wide))
        return self._choices[key]

    def channels(self, node: str) -> int:
        """How many output channels `node` has that can be split, else 0.

        Those of the W or R of a recurrent layer are its rows.
        """
        from ternc.passes._linear import RECURRENT, weight_slots
        from ternc.passes.split_channels import channels_of
        from ternc.reconstruction.recurrent import can_fit

        slots = [slot for item in ir.from_proto(self.base).graph for slot in weight_slots(item)
                 if slot.name == node]
        if not slots or slots[0].node.op_type not in RECURRENT:
            return channels_of(slots[0].node) if slots else 0
        weights = constant(slots[0].weight)
        return int(np.prod(weights.shape[:2])) if weights is not None and can_fit(
            slots[0].node) else 0

    def splits_in_order(self, node: str) -> bool:
        """Whether the first part of `node` are its channels that lose least, not the first."""
        return not any(item.name == node for item in ir.from_proto(self.base).graph)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All that were measured."""
        return tuple(self._choices.values())

    def loss(self, choice: Choice) -> float:
        """What to compare choices by, on the samples that select."""
        return choice.select.loss_from(self._reference(confirming=False))

    def promises(self, choice: Choice, base: Choice, limit: float) -> bool:
        """Whether the confirming samples may be expected to prove that `choice` holds `limit`.

        Where they will not even prove it of `base`: whether it holds on the selecting samples.
        """
        if self.chance(base, limit) < _PROMISING:
            return self.selected(choice).value <= limit
        return self.chance(choice, limit) >= _PROMISING

    def chance(self, choice: Choice, limit: float) -> float:
        """How likely the confirming samples are to prove that `choice` loses at most `limit`.

        By the selecting ones: their mean is as far from the truth as their error says, and so is
        that of the others.
        """
        selected = self.selected(choice)
        value = self.loss(choice) if self.measure == "accuracy" else selected.value
        ratio = len(self.selecting.expected) / len(self.confirming.expected)
        room = limit - value - SURE * selected.error * math.sqrt(ratio)
        error = selected.error * math.sqrt(1 + ratio)
        return NormalDist().cdf(room / error) if error else float(room >= 0)

    def selected(self, choice: Choice) -> Drop:
        """The drop on the samples that select."""
        return choice.select.drop_from(self._reference(confirming=False))

    def confirmed(self, choice: Choice) -> Drop:
        """The drop on the samples that confirm."""
        return self._confirm(choice).drop_from(self._reference(confirming=True))

    def overall(self, choice: Choice) -> Drop:
        """The drop on both."""
        before = self._reference(confirming=False), self._reference(confirming=True)
        if self.confirming is self.selecting:
            return choice.select.drop_from(before[0])
        return (choice.select + self._confirm(choice)).drop_from(before[0] + before[1])

    @property
    def reference(self) -> float:
        """The accuracy of the float model, or the SQNR of the int8 one, on all the samples."""
        parts = [self._reference(confirming=False)]
        if self.confirming is not self.selecting:
            parts.append(self._reference(confirming=True))
        return sum(parts[1:], parts[0]).quality

    @property
    def samples(self) -> int:
        """How many samples there are to measure on."""
        count = len(self.selecting.expected)
        return count if self.confirming is self.selecting else count + len(
            self.confirming.expected)

    def _reference(self, *, confirming: bool) -> Scores:
        """Accuracy is counted from the float model, SQNR from the one with int8 weights."""
        part = self.confirming if confirming else self.selecting
        if self.measure == "accuracy":
            return scores(part.expected, part.expected, part.labels)
        int8 = self.choice(())
        return self._confirm(int8) if confirming else int8.select

    def _confirm(self, choice: Choice) -> Scores:
        if choice.confirm is None:
            choice.confirm = self.confirming.score(choice.model)
        return choice.confirm


def _in_order(model: ir.Model, chosen: frozenset[str]) -> tuple[str, ...]:
    """The names in `chosen` of nodes, and of their weights, as the graph has them."""
    from ternc.passes._linear import weight_slots

    names: dict[str, None] = {}
    for node in model.graph:
        names[node.name or ""] = None
        for slot in weight_slots(node):
            rows = slot.rows_in(chosen)
            names[slot.name] = names[f"{slot.name}[:{rows}]"] = None
    return tuple(name for name in names if name in chosen)


def outputs(model: onnx.ModelProto, samples: Samples) -> Iterator[Array]:
    """The first output for each sample."""
    from ternc.oracle import Oracle

    oracle = Oracle(model)
    first = oracle.outputs[0]
    return (oracle.run(feed, [first])[first] for feed in samples)


def _part(check: Samples, expected: list[Array], labels: npt.NDArray[Any] | None,
          taken: list[bool]) -> Part:
    from itertools import compress

    from ternc.feeds import Samples as Kind

    return Part(Kind(lambda: compress(check, taken), sum(taken)),
                list(compress(expected, taken)),
                None if labels is None else np.asarray(labels)[np.array(taken)])


def _split(
    data: Samples, labels: Any, evaluation: Samples | None
) -> tuple[Samples, Samples, npt.NDArray[Any] | str | None]:
    """Samples to fit on, samples to measure on, and the labels of those."""
    from ternc.feeds import Samples as Kind

    source = data if evaluation is None else evaluation
    count = source.count if source.count is not None else sum(1 for _ in source)
    given: npt.NDArray[Any] | str | None = source.labels if labels is None else labels
    if given is not None and not (isinstance(given, str) and given == OWN_ANSWERS):
        found = read_labels(given)
        if found.ndim == 0 or found.shape[0] != count:
            raise CompileError((Diagnostic(
                "TC0301", f"there are {count} samples and labels of shape {found.shape}",
                help="give one class number for each sample"),))
        given = class_numbers(found)
    if evaluation is not None or count < 2:
        return data, source, given
    fit = Kind(lambda: islice(iter(source), 0, None, 2), (count + 1) // 2)
    check = Kind(lambda: islice(iter(source), 1, None, 2), count // 2)
    return fit, check, given if given is None or isinstance(given, str) else given[1::2]

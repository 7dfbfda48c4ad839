"""Smaller forms of kernels: which of them a program can be linked with.

A form is a kernel of the runtime that runs an instruction but refuses some of its operands, and
so takes less flash. A program is linked with it where all of its instructions of that kind are
among those that the form takes; the blob does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from ternc.backends.esp32.isa import Opcode


class Item(Protocol):
    """An instruction of a program, or of a blob."""

    @property
    def opcode(self) -> Opcode:
        """What it does."""

    def operand(self, name: str) -> object:
        """The operand called `name`; None for an absent tensor."""


@dataclass(frozen=True, slots=True)
class Form:
    """The kernel `ternc_k_<name>` for those `instruction`s that it `takes`."""

    name: str
    instruction: str
    takes: Callable[[Item], bool]


def _number(item: Item, name: str) -> int:
    value = item.operand(name)
    assert isinstance(value, int), name
    return value


def _is_global(item: Item) -> bool:
    ones = ("out_h", "out_w", "dilation_h", "dilation_w")
    pads = ("pad_top", "pad_left", "pad_bottom", "pad_right")
    return (all(_number(item, name) == 1 for name in ones)
            and all(_number(item, name) == 0 for name in pads)
            and all(_number(item, f"kernel_{a}") == _number(item, f"in_{a}") for a in "hw"))


def _adds_nothing(item: Item) -> bool:
    return item.operand("r") is None


def _looks_up(group: int) -> Callable[[Item], bool]:
    """Patterns of `group` channels, one sum for each output."""

    def takes(item: Item) -> bool:
        taps = _number(item, "kernel_h") * _number(item, "kernel_w")
        return (_adds_nothing(item) and _number(item, "group") == group
                and _number(item, "parts") == 1 and taps <= _number(item, "chunk"))

    return takes


FORMS: Final = (
    Form("avgpool_i8_global", "avgpool_i8", _is_global),
    Form("conv2d_i8_blocked_one", "conv2d_i8_blocked", _adds_nothing),
    Form("conv2d_i8_t2_lut_3", "conv2d_i8_t2_lut", _looks_up(3)),
    Form("conv2d_i8_t2_lut_4", "conv2d_i8_t2_lut", _looks_up(4)),
)


def linked_kernel(name: str, items: Iterable[Item]) -> str:
    """The kernel for the instruction `name`: the form that takes all of `items`, or the whole."""
    mine = [item for item in items if item.opcode.name == name]
    fits = (f.name for f in FORMS
            if f.instruction == name and mine and all(f.takes(item) for item in mine))
    return next(fits, name)


def linked_kernels(items: Iterable[Item]) -> tuple[str, ...]:
    """Names of the kernels that `items` are linked with, by code: they are `ternc_k_<name>`."""
    items = tuple(items)
    codes = {item.opcode.code: item.opcode.name for item in items}
    return tuple(linked_kernel(codes[code], items) for code in sorted(codes))

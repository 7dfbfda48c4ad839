"""The table of supported operators: a lowering function registers itself with `@operator`.

Adding an operator: a function in one of the modules beside this file (imported by
`ternc.backends.esp32.lower`), decorated with the ONNX names it lowers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering

LowerFunction = Callable[[Lowering, ir.Node], None]


@dataclass(frozen=True, slots=True)
class Operator:
    """One ONNX operator: how its integer forms work ("" means float32 only)."""

    name: str
    lower: LowerFunction
    int8: str
    int16: str
    note: str


OPERATORS: dict[str, Operator] = {}


def operator(
    *names: str, int8: str = "", int16: str = "", note: str = ""
) -> Callable[[LowerFunction], LowerFunction]:
    """Registers a lowering function for ONNX operators of the default domain.

    `int16` is as `int8` where nothing else is said.
    """

    def register(function: LowerFunction) -> LowerFunction:
        for name in names:
            assert name not in OPERATORS, name
            OPERATORS[name] = Operator(name, function, int8, int16 or (int8 and "yes"), note)
        return function

    return register

"""Arbitrary operand words for the multiply-accumulate kernels: what `check` accepts stays inside.

As test_hostile_operands.py: guard bytes and two memory contents show access outside the tensors;
run with sanitizers (TERNC_CFLAGS) for undefined behaviour.
"""

from __future__ import annotations

import numpy as np
import pytest

from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS, Kind
from tests.runtime.harness import Array, Number, Refused, call
from tests.runtime.mac_reference import FORMS

_NAMES = [name for op in ("conv2d", "dense") for form in FORMS
          if (name := f"{op}_{form}") in BY_NAME]
_EXTREMES = (0, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 2**24, 2**24 + 1, 2**28, 255)


def _type(name: str, operand: str) -> type:
    """The element type that the kernel wants."""
    wide = "_i16" in name
    integer = wide or "_i8" in name
    requantizes = integer and "i8f" not in name
    match operand:
        case "x" | "y" if wide:
            return np.int16
        case "x" | "a":
            return np.int8 if integer else np.float32
        case "b" if name.startswith("matmul"):
            return np.int8 if integer else np.float32
        case "w":
            if name.endswith("t2"):
                return np.uint8
            return np.int8 if integer or name.endswith("w8") else np.float32
        case "y":
            return np.int8 if requantizes else np.float32
        case "w_zero" | "c":
            return np.int32
        case "m":
            return np.int32 if requantizes else np.float32
        case _:
            return np.float32


def _number(name: str, kind: Kind, rng: np.random.Generator, wild: float) -> Number:
    if kind is Kind.F32:
        return float(rng.choice([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3e38]))
    if rng.random() < wild and name != "inner":
        value = int(rng.choice(_EXTREMES))
        return value if kind is Kind.U32 else (value + 2**31) % 2**32 - 2**31
    return int(rng.choice([1, 1, 1, 2, 3]) if kind is Kind.U32 else rng.integers(-3, 4))


@pytest.mark.parametrize("name", [*_NAMES, "matmul_f32", "matmul_i8"])
def test_accepted_operands_stay_inside(name: str) -> None:
    rng = np.random.default_rng(BY_NAME[name].code)
    accepted = 0
    for attempt in range(400):
        tensors: dict[str, Array | None] = {}
        numbers: dict[str, Number] = {}
        for operand in BY_NAME[name].operands:
            if operand.kind not in TENSOR_KINDS:
                wild = (0.0, 0.02, 0.05)[attempt % 3]
                numbers[operand.name] = _number(operand.name, operand.kind, rng, wild)
            elif operand.optional and rng.random() < 0.3:
                tensors[operand.name] = None
            else:
                dtype = np.dtype(_type(name, operand.name))
                size = int(rng.integers(1, 120)) * dtype.itemsize
                tensors[operand.name] = rng.integers(0, 256, size, np.uint8).view(dtype)
        if rng.random() < 0.9 and numbers["lo"] > numbers["hi"] if "lo" in numbers else False:
            numbers["lo"], numbers["hi"] = numbers["hi"], numbers["lo"]
        try:
            call(name, tensors, **numbers)
        except Refused:
            continue
        accepted += 1
    assert accepted >= 40, accepted

"""Arbitrary operands for the recurrent kernels: what `check` accepts stays inside its tensors."""

from __future__ import annotations

import numpy as np
import pytest

from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS, Kind
from tests.runtime.harness import Array, Call, Number, Refused, call

_NAMES = [f"{cell}_{form}" for cell in ("lstm", "gru", "rnn")
          for form in ("f32", "f32_w8", "f32_t2", "i8", "i8_t2", "i8_t2_lut", "i8_blocked",
                       "i8_mixed", "i16", "i16_t2", "i16_mixed")]
_EXTREMES = (0, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 2**24, 2**24 + 1, 2**28, 255)


def _type(name: str, operand: str) -> type:
    """The element type that the kernel wants."""
    integer = "_i8" in name or "_i16" in name
    if name.endswith(("lut", "blocked")) and operand in ("k", "scratch"):
        return np.int32
    if operand in ("w", "r"):
        if "t2" in name or "mixed" in name:
            return np.uint8
        return np.float32 if name.endswith("f32") else np.int8
    if operand in ("x", "y"):
        return np.int16 if "_i16" in name else np.int8 if integer else np.float32
    if operand in ("m_w", "m_r", "b", "c"):
        return np.int32 if integer else np.float32
    return np.int16 if integer else np.float32


def _filled(rng: np.random.Generator, name: str, operand: str, size: int) -> Array:
    """Random bytes; of a fast form more, for tables or blocks; of a look-up codes that select.

    Of rows of two kinds mostly with records that tell which of the first four are ternary.
    """
    if "mixed" in name and operand in ("w", "r"):
        rows = rng.integers(0, 256, size, np.uint8)
        if rng.random() < 0.9:
            first = int(rng.integers(0, 16)) & int(rng.integers(0, 16))
            rows[:8] = [first, 0, 0, 0, 0, 0, first.bit_count(), 0]
        return rows
    if not name.endswith(("lut", "blocked")):
        return rng.integers(0, 256, size, np.uint8).view(_type(name, operand))
    filled = rng.integers(0, 256, 8 * size, np.uint8)
    if operand == "w" and name.endswith("lut"):
        return filled % 82 * 2
    return filled.view(_type(name, operand))


@pytest.mark.parametrize("name", _NAMES)
def test_accepted_operands_stay_inside(name: str) -> None:
    rng = np.random.default_rng(BY_NAME[name].code)
    accepted = 0
    for attempt in range(200):
        tensors: dict[str, Array | None] = {}
        numbers: dict[str, Number] = {}
        for operand in BY_NAME[name].operands:
            if operand.kind in TENSOR_KINDS:
                dtype = np.dtype(_type(name, operand.name))
                size = int(rng.integers(20, 300)) * dtype.itemsize
                filled = _filled(rng, name, operand.name, size)
                tensors[operand.name] = None if operand.optional and rng.random() < 0.3 else filled
            elif rng.random() < (0.0, 0.02, 0.05)[attempt % 3]:
                value = int(rng.choice(_EXTREMES))
                signed = (value + 2**31) % 2**32 - 2**31
                numbers[operand.name] = value if operand.kind is Kind.U32 else signed
            elif operand.name in ("reverse", "shift", "relu", "linear_before_reset"):
                numbers[operand.name] = int(rng.integers(0, 2))
            else:
                numbers[operand.name] = int(rng.integers(1, 4))
        if "lo" in numbers and numbers["lo"] > numbers["hi"]:
            numbers["lo"], numbers["hi"] = numbers["hi"], numbers["lo"]
        try:
            call(name, tensors, **numbers)
        except Refused:
            continue
        accepted += 1
    assert accepted >= 20, accepted


@pytest.mark.parametrize("name", [n for n in _NAMES if "_f32" not in n])
def test_everything_in_one_place(name: str) -> None:
    """Outputs, states and scratch that overlap give nonsense, within bounds."""
    rng = np.random.default_rng(1)
    numbers = {operand.name: 2 for operand in BY_NAME[name].operands
               if operand.kind not in TENSOR_KINDS} | {"reverse": 1, "cell_bits": 15, "shift": 0}
    names = {operand.name: operand for operand in BY_NAME[name].operands}
    numbers = {key: value for key, value in numbers.items() if key in names}
    tensors: dict[str, Array | None] = {
        key: _filled(rng, name, key, 400)
        for key, operand in names.items() if operand.kind in TENSOR_KINDS}
    alias: dict[str, str] = {key: "h0" for key in names if key in ("h_last", "c_last", "scratch")}
    it = Call(name, tensors, numbers, alias)
    assert it.check() == 0
    it.run([(0, it.rows)], 0x5A)

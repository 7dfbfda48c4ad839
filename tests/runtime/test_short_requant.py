"""Dense layers with short requantization constants give the plain kernel's bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS, Kind
from ternc.backends.esp32.lower import kernel_layouts as layouts
from ternc.quantize import ShortConstants
from tests.runtime.harness import Array, Call, Number, Refused, assert_sizes_checked, call
from tests.runtime.test_fast_kernels import CASES, FILLS, SEEDS, dense_case, garbage

FOUR, FIVE = "dense_i8_t2_lut_short", "dense_i8_t2_lut5_short"
Tensors = dict[str, Array | None]
Numbers = dict[str, Number]


def constants(rng: np.random.Generator, inputs: int, outputs: int) -> ShortConstants:
    """Any whose sums fit 32 bits, extreme ones among them."""
    most = min(2**16 - 1, 2**30 // (128 * inputs))
    m = rng.integers(0, most + 1, outputs)
    m[:4] = np.minimum([65535, 65534, 65533, 3][:outputs], most)
    c_shift, shift = int(rng.integers(4, 17)), int(rng.integers(1, 29))
    reach = 2**30
    if rng.random() < 0.7:  # such that few outputs saturate
        shift = int(np.clip(np.log2(74 * np.sqrt(inputs) * np.median(m) + 1) - 7, 1, 28))
        reach = min(2**30, 64 << shift)
    edge = max(1, min(2**15, reach >> c_shift))
    c = rng.integers(-edge, edge, outputs)
    c[:2] = [-edge, edge - 1][:outputs]
    return ShortConstants(m, c, c_shift, shift, 0.0)


def case(
    name: str, rows: int, inputs: int, outputs: int, block: int, seed: int, fill: int | None
) -> tuple[Tensors, Numbers, Tensors, Numbers]:
    """Operands of the plain instruction, and of the short form."""
    layer, tensors, numbers = dense_case(rows, inputs, outputs, seed, fill)
    found = constants(np.random.default_rng(seed + 1), inputs, outputs)
    long = found.long()
    plain = {**tensors, "m": long.m, "c": long.c}
    slab, group, words = max(1, outputs * 2 // 3), 4, 41
    more = {**numbers, "shift": found.shift, "c_shift": found.c_shift, "slab": slab}
    if name == FIVE:
        group, words, block = 5, 122, 8
    else:
        more["block"] = block
    short = {key: array for key, array in tensors.items() if key not in "mc"} | {
        "w": layouts.pack_dense_lut(layer.codes, block, slab, group), "k": found.packed,
        "scratch": garbage(words * block + slab)}
    return plain, {**numbers, "shift": long.shift}, short, more


@CASES
@given(st.sampled_from([FOUR, FIVE]), st.integers(1, 3), st.integers(1, 150), st.integers(1, 20),
       st.sampled_from([4, 8, 16]), SEEDS, FILLS)  # fmt: skip
def test_same_bytes_as_the_plain_kernel(
    name: str, rows: int, inputs: int, outputs: int, block: int, seed: int, fill: int | None
) -> None:
    plain, numbers, short, more = case(name, rows, inputs, outputs, block, seed, fill)
    expected = call("dense_i8_t2", plain, **numbers)["y"]
    np.testing.assert_array_equal(call(name, short, **more)["y"], expected)


@pytest.mark.parametrize("name", [FOUR, FIVE])
@pytest.mark.parametrize("fill", [-128, 127])
def test_long_rows_are_exact(fill: int, name: str) -> None:
    plain, numbers, short, more = case(name, 1, 4096, 5, 16, 3, fill)
    expected = call("dense_i8_t2", plain, **numbers)["y"]
    np.testing.assert_array_equal(call(name, short, **more)["y"], expected)


@pytest.mark.parametrize(("name", "bad_codes"), [
    (FOUR, (1, 163, 164, 255)),  # an odd address, and addresses behind the table
    (FIVE, (244, 255)),
])
def test_refuses(name: str, bad_codes: tuple[int, ...]) -> None:
    _, _, short, more = case(name, 2, 70, 5, 8, 0, None)
    assert_sizes_checked(name, short, **more)
    if name == FOUR:
        assert Call(name, short, {**more, "block": 2}).check() != 0
    for change in (
        {"slab": 0}, {"slab": 6}, {"rows": 0}, {"in_features": 2**32 - 1},
        {"out_features": 2**31 + 5}, {"shift": 0}, {"shift": 29}, {"shift": 2**32 - 1},
        {"c_shift": 3}, {"c_shift": 17}, {"c_shift": 2**32 - 1}, {"lo": 9, "hi": 8},
        {"hi": 128}, {"lo": -129},
    ):  # fmt: skip
        assert Call(name, short, {**more, **change}).check() != 0, change
    for good in ({"shift": 1}, {"shift": 28}, {"c_shift": 4}, {"c_shift": 16}):
        assert Call(name, short, {**more, **good}).check() == 0, good
    for bad in bad_codes:
        codes = np.asarray(short["w"]).copy()
        codes.reshape(-1)[7] = bad
        assert Call(name, {**short, "w": codes}, more).check() != 0, bad


@pytest.mark.parametrize("name", [FOUR, FIVE])
def test_accepted_operands_stay_inside(name: str) -> None:
    """Arbitrary operand words, as in test_hostile_mac.py, around ones that are accepted."""
    rng = np.random.default_rng(BY_NAME[name].code)
    types = {"x": np.int8, "w": np.uint8, "k": np.int16, "y": np.int8, "scratch": np.int32}
    accepted = 0
    for _ in range(400):
        tensors: Tensors = {}
        numbers: Numbers = {"lo": -100, "hi": 100}
        if name == FOUR:
            numbers["block"] = int(rng.choice([4, 8, 16]))
        for operand in BY_NAME[name].operands:
            if operand.kind in TENSOR_KINDS:
                dtype = np.dtype(types[operand.name])
                size = int(rng.integers(1, 90))
                if operand.name == "scratch":  # about what the tables take
                    size += (122 * 8 if name == FIVE else 41 * int(numbers["block"])) - 30
                raw = rng.integers(0, 256, size * dtype.itemsize, np.uint8)
                tensors[operand.name] = (2 * rng.integers(0, 82, size)).astype(np.uint8) if (
                    operand.name == "w") else raw.view(dtype)
            elif operand.name not in numbers and operand.kind is Kind.U32:
                wild = rng.random() < 0.03
                numbers[operand.name] = int(
                    rng.choice([0, 2**24, 2**31, 2**32 - 1]) if wild
                    else rng.integers(4, 17) if "shift" in operand.name else rng.integers(1, 5))
        try:
            call(name, tensors, **numbers)
        except Refused:
            continue
        accepted += 1
    assert accepted >= 40, accepted

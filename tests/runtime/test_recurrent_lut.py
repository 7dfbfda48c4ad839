"""The recurrent kernels by look-up give the plain kernels' bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_lut, unpack_recurrent_lut
from ternc.quantize import pack_ternary
from tests.runtime.harness import Refused, assert_sizes_checked, call
from tests.runtime.recurrent_operands import SIZES, Case, constants, operands, scratch
from tests.runtime.recurrent_reference import GATES, SCRATCH, Sizes

CASES = settings(max_examples=60, deadline=None)
CELLS = st.sampled_from(["lstm", "gru", "rnn"])
SEEDS = st.integers(0, 2**32 - 1)
STATES = st.sampled_from([None, -32767, 32767])  # at the beginning: random, or all the same
H_SHIFT = 9


def cases(cell: str, sizes: Sizes, seed: int, fill: int | None, option: int
          ) -> tuple[Case, Case]:
    """Operands of the plain kernel, and of the fast one."""
    rng = np.random.default_rng(seed)
    gates, d, n, inputs = GATES[cell], sizes.directions, sizes.hidden, sizes.in_features
    states = (sizes.batch, d, n)
    w, r = (rng.integers(-1, 2, (d, gates * n, columns)).astype(np.int8)
            for columns in (inputs, n))
    x = rng.integers(-128, 128, (sizes.steps, sizes.batch, inputs))
    h0 = rng.integers(-32767, 32768, states) if fill is None else np.full(states, fill)
    k = constants(rng, cell, sizes, 14, 23)
    shared, numbers = operands(rng, cell, sizes, x, h0, option)
    plain = {
        **shared, "w": np.frombuffer(pack_ternary(w), np.uint8),
        "r": np.frombuffer(pack_ternary(r), np.uint8), "m_w": k.m_w.astype(np.int32),
        "m_r": k.m_r.astype(np.int32), "c": k.c.astype(np.int32),
        "scratch": np.full((SCRATCH[cell] + 1, *states), 0x5A5A, np.int16),
    }
    h_tables = -(-n // 8) * 2
    tables = -(-inputs // 8) * 2 + h_tables
    if cell == "gru" and not option:
        tables += h_tables
    fast = {**shared, "w": pack_recurrent_lut(w, r, gates), "k": k.packed(cell, n, 4, H_SHIFT),
            "scratch": scratch(cell, n, 4, 41 * tables)}
    return (plain, numbers), (fast, {**numbers, "h_shift": H_SHIFT})


@CASES
@given(CELLS, SIZES, SEEDS, STATES, st.integers(0, 1))
def test_same_bytes(cell: str, sizes: Sizes, seed: int, fill: int | None, option: int) -> None:
    (plain, numbers), (fast, more) = cases(cell, sizes, seed, fill, option)
    expected = call(f"{cell}_i8_t2", plain, **numbers)
    found = call(f"{cell}_i8_t2_lut", fast, **more)
    for name in ("y", "h_last", "c_last"):
        if name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_checks(cell: str) -> None:
    _, (fast, numbers) = cases(cell, Sizes(2, 2, 5, 9, 2, 0), 1, None, 0)
    name = f"{cell}_i8_t2_lut"
    assert_sizes_checked(name, fast, **numbers)
    w = fast["w"]
    assert w is not None
    for bad in (3, 164, 255):
        damaged = w.copy()
        damaged.reshape(-1)[-1] = bad
        with pytest.raises(Refused):
            call(name, {**fast, "w": damaged}, **numbers)
    for change in ({"h_shift": 17}, {"shift": 32}, {"out_shift": 32}, {"directions": 3},
                   {"steps": 0}, {"hidden": 2**31}):
        with pytest.raises(Refused):
            call(name, fast, **{**numbers, **change})


@given(st.sampled_from([1, 3, 4]), st.integers(1, 2), st.integers(1, 40), st.integers(1, 12),
       SEEDS)
def test_layout_round_trips(
    gates: int, directions: int, inputs: int, hidden: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w, r = (rng.integers(-1, 2, (directions, gates * hidden, n)).astype(np.int8)
            for n in (inputs, hidden))
    back = unpack_recurrent_lut(pack_recurrent_lut(w, r, gates), inputs, hidden)
    np.testing.assert_array_equal(back[0], w)
    np.testing.assert_array_equal(back[1], r)

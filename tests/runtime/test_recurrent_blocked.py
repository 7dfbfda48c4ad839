"""The recurrent kernels with int8 weights in blocks of rows give the plain kernels' bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_blocks
from tests.runtime.harness import Refused, assert_sizes_checked, call
from tests.runtime.recurrent_operands import SIZES, Case, constants, operands, scratch
from tests.runtime.recurrent_reference import GATES, SCRATCH, Sizes

CASES = settings(max_examples=60, deadline=None)
EXTREMES = st.sampled_from([None, -1, 1])  # weights, x and states: random, or as far as they go
H_SHIFT = 2


def cases(cell: str, sizes: Sizes, seed: int, extreme: int | None, option: int
          ) -> tuple[Case, Case]:
    """Operands of the plain kernel, and of the fast one."""
    rng = np.random.default_rng(seed)
    gates, d, n, inputs = GATES[cell], sizes.directions, sizes.hidden, sizes.in_features
    states = (sizes.batch, d, n)
    shapes = [(d, gates * n, columns) for columns in (inputs, n)]
    x_shape = (sizes.steps, sizes.batch, inputs)
    if extreme is None:
        w, r = (rng.integers(-127, 128, shape) for shape in shapes)
        x, h0 = rng.integers(-128, 128, x_shape), rng.integers(-32767, 32768, states)
    else:
        w, r = (np.full(shape, -127) for shape in shapes)
        x, h0 = np.full(x_shape, -128 if extreme < 0 else 127), np.full(states, 32767 * extreme)
    # Sums over 37 states stay below 2^28, and what goes into a gate below 2^31 with all its terms.
    k = constants(rng, cell, sizes, 10, 17)
    shared, numbers = operands(rng, cell, sizes, x, h0, option)
    plain = {
        **shared, "w": w.astype(np.int8), "r": r.astype(np.int8),
        "m_w": (k.m_w << 16).astype(np.int32), "m_r": k.m_r.astype(np.int32),
        "c": k.c.astype(np.int32), "scratch": np.full((SCRATCH[cell], *states), 0x5A5A, np.int16),
    }
    fast = {**shared, "w": pack_recurrent_blocks(w, r, gates), "k": k.packed(cell, n, 8, H_SHIFT),
            "scratch": scratch(cell, n, 8, 0)}
    return (plain, numbers), (fast, {**numbers, "h_shift": H_SHIFT})


@CASES
@given(st.sampled_from(["lstm", "gru", "rnn"]), SIZES, st.integers(0, 2**32 - 1), EXTREMES,
       st.integers(0, 1))
def test_same_bytes(cell: str, sizes: Sizes, seed: int, extreme: int | None, option: int) -> None:
    (plain, numbers), (fast, more) = cases(cell, sizes, seed, extreme, option)
    expected = call(f"{cell}_i8", plain, **numbers)
    found = call(f"{cell}_i8_blocked", fast, **more)
    for name in ("y", "h_last", "c_last"):
        if name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_checks(cell: str) -> None:
    _, (fast, numbers) = cases(cell, Sizes(2, 2, 5, 9, 2, 0), 1, None, 0)
    name = f"{cell}_i8_blocked"
    assert_sizes_checked(name, fast, **numbers)
    for change in ({"h_shift": 17}, {"shift": 32}, {"out_shift": 32}, {"directions": 3},
                   {"steps": 0}, {"hidden": 2**31}):
        with pytest.raises(Refused):
            call(name, fast, **{**numbers, **change})


@given(st.sampled_from([1, 3, 4]), st.integers(1, 2), st.integers(1, 40), st.integers(1, 20),
       st.integers(0, 2**32 - 1))
def test_layout(gates: int, directions: int, inputs: int, hidden: int, seed: int) -> None:
    """Row o of a gate: place o % 8 of block o // 8, inputs before states."""
    rng = np.random.default_rng(seed)
    w, r = (rng.integers(-128, 128, (directions, gates * hidden, n)).astype(np.int8)
            for n in (inputs, hidden))
    packed = pack_recurrent_blocks(w, r, gates)
    blocks = -(-hidden // 8)
    assert packed.shape == (directions, gates, blocks, inputs + hidden, 8)
    rows = packed.swapaxes(3, 4).reshape(directions, gates, 8 * blocks, -1)
    assert not rows[:, :, hidden:].any()
    both = np.concatenate([w, r], -1)
    np.testing.assert_array_equal(
        rows[:, :, :hidden].reshape(directions, gates * hidden, -1), both)

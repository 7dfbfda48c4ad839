"""The recurrent kernels with int8 weights in blocks of rows give the plain kernels' bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_blocks
from tests.runtime.harness import Array, Number, Refused, assert_sizes_checked, call
from tests.runtime.recurrent_reference import BIASES, GATES, SCRATCH, Sizes

CASES = settings(max_examples=60, deadline=None)
SIZES = st.builds(Sizes, st.integers(1, 4), st.integers(1, 2), st.integers(1, 37),
                  st.integers(1, 37), st.integers(1, 2), st.integers(0, 1))
EXTREMES = st.sampled_from([None, -1, 1])  # weights, x and states: random, or as far as they go
H_SHIFT = 2
Case = tuple[dict[str, Array | None], dict[str, Number]]


def cases(cell: str, sizes: Sizes, seed: int, extreme: int | None, option: int
          ) -> tuple[Case, Case]:
    """Operands of the plain kernel, and of the fast one."""
    rng = np.random.default_rng(seed)
    gates, d, n, inputs = GATES[cell], sizes.directions, sizes.hidden, sizes.in_features
    rows, states = gates * n, (sizes.batch, d, n)
    shapes = [(d, rows, columns) for columns in (inputs, n)]
    x_shape = (sizes.steps, sizes.batch, inputs)
    if extreme is None:
        w, r = (rng.integers(-127, 128, shape) for shape in shapes)
        x, h0 = rng.integers(-128, 128, x_shape), rng.integers(-32767, 32768, states)
    else:
        w, r = (np.full(shape, -127) for shape in shapes)
        x, h0 = np.full(x_shape, -128 if extreme < 0 else 127), np.full(states, 32767 * extreme)
    # Sums over 37 states stay below 2^28, and what goes into a gate below 2^31 with all its terms.
    m_w, m_r = rng.integers(1, 2**10, (d, rows)), rng.integers(1, 2**17, (d, rows))
    c = rng.integers(-(2**26), 2**26, (d, BIASES[cell] * n))
    shared: dict[str, Array | None] = {
        "x": x.astype(np.int8), "h0": h0.astype(np.int16),
        "y": np.zeros((sizes.steps, *states), np.int8), "h_last": np.zeros(states, np.int16),
    }
    if cell == "lstm":
        shared["c0"] = rng.integers(-32767, 32768, states).astype(np.int16)
        shared["c_last"] = np.zeros(states, np.int16)
    numbers: dict[str, Number] = {
        "steps": sizes.steps, "batch": sizes.batch, "in_features": inputs, "hidden": n,
        "directions": d, "reverse": sizes.reverse, "shift": 9, "out_m": 2**18, "out_c": 3 << 7,
        "out_shift": 7, "lo": -100, "hi": 120,
    }
    if cell == "lstm":
        numbers["cell_bits"] = 15 * option
    elif cell == "gru":
        numbers["linear_before_reset"] = option
    plain = {
        **shared, "w": w.astype(np.int8), "r": r.astype(np.int8),
        "m_w": (m_w << 16).astype(np.int32), "m_r": m_r.astype(np.int32), "c": c.astype(np.int32),
        "scratch": np.full((SCRATCH[cell], *states), 0x5A5A, np.int16),
    }
    padded = -(-n // 8) * 8
    wide = [np.zeros((d, count, padded), np.int64) for count in (gates, gates, BIASES[cell])]
    for target, source in zip(wide, (m_w, m_r << (16 - H_SHIFT), c), strict=True):
        target[..., :n] = source.reshape(d, -1, n)
    each = np.stack([wide[0], wide[1], wide[2][:, :gates]], 2).reshape(d, gates, 3, -1, 8)
    k = np.concatenate([each.swapaxes(2, 3).reshape(d, -1), wide[2][:, gates:].reshape(d, -1)], 1)
    words = BIASES[cell] * padded + -(-(1 if cell == "rnn" else 2) * n // 2)
    fast = {**shared, "w": pack_recurrent_blocks(w, r, gates), "k": k.astype(np.int32),
            "scratch": np.full(words, 0x5A5A5A5A, np.int32)}
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

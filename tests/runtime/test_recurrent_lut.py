"""The recurrent kernels by look-up give the plain kernels' bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_lut, unpack_recurrent_lut
from ternc.quantize import pack_ternary
from tests.runtime.harness import Array, Number, Refused, assert_sizes_checked, call
from tests.runtime.recurrent_reference import BIASES, GATES, SCRATCH, Sizes

CASES = settings(max_examples=60, deadline=None)
SIZES = st.builds(Sizes, st.integers(1, 4), st.integers(1, 2), st.integers(1, 37),
                  st.integers(1, 37), st.integers(1, 2), st.integers(0, 1))
CELLS = st.sampled_from(["lstm", "gru", "rnn"])
SEEDS = st.integers(0, 2**32 - 1)
STATES = st.sampled_from([None, -32767, 32767])  # at the beginning: random, or all the same
H_SHIFT = 9


def cases(
    cell: str, sizes: Sizes, seed: int, fill: int | None, option: int
) -> tuple[tuple[dict[str, Array | None], dict[str, Number]],
           tuple[dict[str, Array | None], dict[str, Number]]]:
    """Operands of the plain kernel, and of the fast one."""
    rng = np.random.default_rng(seed)
    gates, d, n, inputs = GATES[cell], sizes.directions, sizes.hidden, sizes.in_features
    rows, states = gates * n, (sizes.batch, d, n)
    w, r = (rng.integers(-1, 2, (d, rows, columns)).astype(np.int8) for columns in (inputs, n))
    m_w, m_r = rng.integers(1, 2**14, (d, rows)), rng.integers(1, 2**23, (d, rows))
    c = rng.integers(-(2**26), 2**26, (d, BIASES[cell] * n))
    h0 = rng.integers(-32767, 32768, states) if fill is None else np.full(states, fill)
    shared: dict[str, Array | None] = {
        "x": rng.integers(-128, 128, (sizes.steps, sizes.batch, inputs)).astype(np.int8),
        "h0": h0.astype(np.int16), "y": np.zeros((sizes.steps, *states), np.int8),
        "h_last": np.zeros(states, np.int16),
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
        **shared, "w": np.frombuffer(pack_ternary(w), np.uint8),
        "r": np.frombuffer(pack_ternary(r), np.uint8), "m_w": m_w.astype(np.int32),
        "m_r": m_r.astype(np.int32), "c": c.astype(np.int32),
        "scratch": np.full((SCRATCH[cell] + 1, *states), 0x5A5A, np.int16),
    }
    padded = -(-n // 4) * 4
    wide = [np.zeros((d, count, padded), np.int64) for count in (gates, gates, BIASES[cell])]
    for target, source in zip(wide, (m_w, m_r << (16 - H_SHIFT), c), strict=True):
        target[..., :n] = source.reshape(d, -1, n)
    each = np.stack([wide[0], wide[1], wide[2][:, :gates]], 2).reshape(d, gates, 3, -1, 4)
    k = np.concatenate([each.swapaxes(2, 3).reshape(d, -1), wide[2][:, gates:].reshape(d, -1)], 1)
    h_tables = -(-n // 8) * 2
    tables = -(-inputs // 8) * 2 + h_tables
    if cell == "gru" and not option:
        tables += h_tables
    words = 41 * tables + BIASES[cell] * padded + -(-(1 if cell == "rnn" else 2) * n // 2)
    fast = {**shared, "w": pack_recurrent_lut(w, r, gates), "k": k.astype(np.int32),
            "scratch": np.full(words, 0x5A5A5A5A, np.int32)}
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

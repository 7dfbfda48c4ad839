"""The recurrent kernels against numpy, and the integer gates against sigmoid and tanh."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.kernel_layouts import (
    pack_mixed_rows,
    ternary_row_count,
    unpack_mixed_rows,
)
from ternc.quantize import pack_ternary
from tests.runtime.harness import (
    Array,
    Call,
    Refused,
    assert_ranges_disjoint,
    assert_sizes_checked,
    call,
    math_library,
)
from tests.runtime.recurrent_reference import (
    BIASES,
    GATES,
    SCRATCH,
    SCRATCH_I16,
    Constants,
    Sizes,
    float_layer,
    integer_layer,
    sigmoid,
    sigmoid_i16,
    tanh_i16,
    tanh_q15,
)

CELLS = ("lstm", "gru", "rnn")
GEOMETRY = [
    Sizes(1, 1, 1, 1, 1, 0), Sizes(5, 1, 3, 4, 1, 0), Sizes(4, 1, 6, 5, 1, 1),
    Sizes(3, 2, 7, 6, 2, 0), Sizes(6, 3, 4, 3, 1, 1),
]
_IDS = [f"{s.steps}x{s.batch}x{s.in_features}-{s.hidden}-{s.directions}{s.reverse}"
        for s in GEOMETRY]


def _packed(codes: Array) -> Array:
    return np.frombuffer(pack_ternary(codes.astype(np.int8)), np.uint8)


def _numbers(cell: str, sizes: Sizes) -> dict[str, int]:
    return {"steps": sizes.steps, "batch": sizes.batch, "in_features": sizes.in_features,
            "hidden": sizes.hidden, "directions": sizes.directions, "reverse": sizes.reverse}


def _tensors(cell: str, sizes: Sizes, dtype: Any, state: Any,
             more: int = 0) -> dict[str, Array | None]:
    """The outputs and the scratch."""
    states = (sizes.batch, sizes.directions, sizes.hidden)
    made: dict[str, Array | None] = {
        "y": np.zeros((sizes.steps, *states), dtype), "h_last": np.zeros(states, state),
        "scratch": np.zeros((SCRATCH[cell] + more, *states), state),
    }
    if cell == "lstm":
        made["c_last"] = np.zeros(states, state)
    return made


def _option(cell: str, option: int) -> dict[str, int]:
    return {"lstm": {}, "gru": {"linear_before_reset": option}, "rnn": {"relu": option}}[cell]


@pytest.mark.parametrize("sizes", GEOMETRY, ids=_IDS)
@pytest.mark.parametrize("form", ["", "_w8", "_t2"])
@pytest.mark.parametrize(("cell", "option"), [
    ("lstm", 0), ("gru", 0), ("gru", 1), ("rnn", 0), ("rnn", 1)])
def test_float(cell: str, option: int, form: str, sizes: Sizes) -> None:
    rng = np.random.default_rng(3)
    d, n = sizes.directions, sizes.hidden
    rows, states = GATES[cell] * n, (sizes.batch, d, n)
    x = rng.normal(0, 1, (sizes.steps, sizes.batch, sizes.in_features)).astype(np.float32)
    b = rng.normal(0, 0.5, (d, BIASES[cell] * n)).astype(np.float32)
    h0, c0 = (rng.normal(0, 0.5, states).astype(np.float32) for _ in range(2))
    tensors: dict[str, Array | None] = {"x": x, "b": b, "h0": h0}
    tensors |= _tensors(cell, sizes, np.float32, np.float32)
    if cell == "lstm":
        tensors["c0"] = c0
    real: list[Array] = []
    for letter, columns in (("w", sizes.in_features), ("r", n)):
        shape = (d, rows, columns)
        if not form:
            weights = rng.normal(0, 0.4, shape).astype(np.float32)
            tensors[letter] = weights
            real.append(weights.astype(np.float64))
        else:
            ternary = form == "_t2"
            codes = rng.integers(-1, 2, shape) if ternary else rng.integers(-128, 128, shape)
            scale = rng.uniform(0.1, 0.5, (d, rows)).astype(np.float32) / (1 if ternary else 128)
            tensors[letter] = _packed(codes) if ternary else codes.astype(np.int8)
            tensors[f"m_{letter}"] = scale
            real.append(codes * scale[..., None].astype(np.float64))
    found = call(f"{cell}_f32{form}", tensors, **_numbers(cell, sizes), **_option(cell, option))
    y, h, c = float_layer(cell, sizes, x, (real[0], real[1]), b, h0, c0,
                          before_reset=option, relu=option)
    for name, wanted in (("y", y), ("h_last", h), ("c_last", c)):
        if name in found:
            np.testing.assert_allclose(found[name], wanted, rtol=0,
                                       atol=2e-6 * max(1.0, np.abs(wanted).max()))


def _integer_case(
    cell: str, ternary: bool, sizes: Sizes, seed: int = 5, x_type: Any = np.int8,
    y_type: Any = None,
) -> tuple[dict[str, Array | None], Constants, Array, Array]:
    rng = np.random.default_rng(seed)
    d, n = sizes.directions, sizes.hidden
    rows, states = GATES[cell] * n, (sizes.batch, d, n)
    wide = x_type is np.int16
    edge, y_type = (32768 if wide else 128), (y_type or x_type)
    x = rng.integers(-edge, edge, (sizes.steps, sizes.batch, sizes.in_features)).astype(x_type)
    limit = 1 if ternary else 127
    w = rng.integers(-limit, limit + 1, (d, rows, sizes.in_features))
    r = rng.integers(-limit, limit + 1, (d, rows, n))
    spread = (2**14, 2**14) if ternary and wide else (2**7, 2**7) if wide else (
        2**8, 2**18) if ternary else (2**17, 2**9)
    large = y_type is np.int16
    k = Constants(
        rng.integers(1, 40, (d, rows)) * spread[0], rng.integers(1, 40, (d, rows)) * spread[1],
        rng.integers(-(2**18), 2**18, (d, BIASES[cell] * n)), 2,
        2**23 if large else 2**15 if wide else 2**18,
        3 << 7, 7, -32000 if large else -100, 31000 if large else 120, ternary, wide)
    tensors: dict[str, Array | None] = {
        "x": x, "w": _packed(w) if ternary else w.astype(np.int8),
        "r": _packed(r) if ternary else r.astype(np.int8),
        "m_w": k.m_w.astype(np.int32), "m_r": k.m_r.astype(np.int32), "c": k.c.astype(np.int32),
        "h0": rng.integers(-32767, 32768, states).astype(np.int16),
        **_tensors(cell, sizes, y_type, np.int16,
                   SCRATCH_I16[cell] - SCRATCH[cell] if wide else int(ternary)),
    }
    if cell == "lstm":
        tensors["c0"] = rng.integers(-32767, 32768, states).astype(np.int16)
    return tensors, k, w, r


def _integer_numbers(cell: str, option: int, sizes: Sizes, k: Constants) -> dict[str, int]:
    extra = {"lstm": {"cell_bits": option}, "gru": {"linear_before_reset": option}, "rnn": {}}
    return {**_numbers(cell, sizes), **extra[cell], "shift": k.shift, "out_m": k.out_m,
            "out_c": k.out_c, "out_shift": k.out_shift, "lo": k.lo, "hi": k.hi}


@pytest.mark.parametrize("sizes", GEOMETRY, ids=_IDS)
@pytest.mark.parametrize("ternary", [False, True], ids=["w8", "t2"])
@pytest.mark.parametrize(("cell", "option"), [
    ("lstm", 15), ("lstm", 11), ("lstm", 0), ("gru", 0), ("gru", 1), ("rnn", 0)])
def test_integer(cell: str, option: int, ternary: bool, sizes: Sizes) -> None:
    tensors, k, w, r = _integer_case(cell, ternary, sizes)
    name = f"{cell}_i8{'_t2' if ternary else ''}"
    found = call(name, tensors, **_integer_numbers(cell, option, sizes, k))
    x, h0 = tensors["x"], tensors["h0"]
    assert x is not None
    assert h0 is not None
    c0 = tensors.get("c0")
    y, h, c = integer_layer(cell, sizes, x, w, r, k, h0, h0 if c0 is None else c0,
                            before_reset=option, cell_bits=option if cell == "lstm" else 0)
    for name, wanted in (("y", y), ("h_last", h), ("c_last", c)):
        if name in found:
            np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.parametrize("sizes", GEOMETRY, ids=_IDS)
@pytest.mark.parametrize("y_type", [np.int16, np.int8])
@pytest.mark.parametrize("ternary", [False, True], ids=["w8", "t2"])
@pytest.mark.parametrize(("cell", "option"), [
    ("lstm", 15), ("lstm", 11), ("lstm", 0), ("gru", 0), ("gru", 1), ("rnn", 0)])
def test_int16(cell: str, option: int, ternary: bool, y_type: Any, sizes: Sizes) -> None:
    tensors, k, w, r = _integer_case(cell, ternary, sizes, 5, np.int16, y_type)
    numbers = _integer_numbers(cell, option, sizes, k)
    found = call(f"{cell}_i16{'_t2' if ternary else ''}", tensors, **numbers)
    x, h0 = tensors["x"], tensors["h0"]
    assert x is not None
    assert h0 is not None
    c0 = tensors.get("c0")
    y, h, c = integer_layer(cell, sizes, x, w, r, k, h0, h0 if c0 is None else c0,
                            before_reset=option, cell_bits=option if cell == "lstm" else 0)
    assert np.unique(y).size > min(y.size, 40) / 3  # neither saturated nor all alike
    for name, wanted in (("y", y), ("h_last", h), ("c_last", c)):
        if name in found:
            np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.parametrize("sizes", [*GEOMETRY, Sizes(3, 1, 5, 23, 2, 0)],
                         ids=[*_IDS, "3x1x5-23-20"])
@pytest.mark.parametrize("x_type", [np.int8, np.int16])
@pytest.mark.parametrize(("cell", "option"), [
    ("lstm", 15), ("lstm", 3), ("gru", 0), ("gru", 1), ("rnn", 0)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mixed_rows(cell: str, option: int, x_type: Any, sizes: Sizes, share: float) -> None:
    """Ternary rows beside int8 ones give the bytes that int8 ones with those weights give."""
    tensors, k, _, _ = _integer_case(cell, False, sizes, 5, x_type)
    rng = np.random.default_rng(8)
    for name in ("w", "r"):
        codes = tensors[name]
        assert codes is not None
        chosen = rng.random(codes.shape[:2]) < share
        codes[chosen] = rng.integers(-1, 2, (int(chosen.sum()), codes.shape[2]))
    numbers = _integer_numbers(cell, option, sizes, k)
    bits = 16 if x_type is np.int16 else 8
    expected = call(f"{cell}_i{bits}", tensors, **numbers)
    packed: dict[str, Array | None] = {}
    for name in ("w", "r"):
        codes = np.asarray(tensors[name])
        packed[name] = pack_mixed_rows(codes.reshape(-1, codes.shape[2]))
    found = call(f"{cell}_i{bits}_mixed", {**tensors, **packed}, **numbers)
    for name in ("y", "h_last", "c_last"):
        if name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("x_type", [np.int8, np.int16])
@pytest.mark.parametrize("cell", CELLS)
def test_mixed_checks(cell: str, x_type: Any) -> None:
    """Records that count wrongly, or rows behind the end, are refused."""
    sizes = Sizes(2, 2, 3, 9, 2, 0)
    tensors, k, w, r = _integer_case(cell, False, sizes, 5, x_type)
    w[0, 3:5], r[0, 1] = 1, 0
    tensors |= {"w": pack_mixed_rows(w.reshape(-1, 3)), "r": pack_mixed_rows(r.reshape(-1, 9))}
    name = f"{cell}_i{16 if x_type is np.int16 else 8}_mixed"
    numbers = _integer_numbers(cell, 1, sizes, k)
    call(name, tensors, **numbers)
    assert_sizes_checked(name, tensors, **numbers)
    rows = GATES[cell] * 18
    for at, change in ((0, 1), (2, 1), (4 * (rows // 16) + 1, 0x80), (6, 0xFF)):
        damaged = np.array(tensors["w"])
        damaged[at] ^= change
        with pytest.raises(Refused):
            call(name, {**tensors, "w": damaged}, **numbers)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_mixed_layout_round_trips(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
    chosen = rng.random(rows) < 0.5
    codes[chosen] = rng.integers(-1, 2, (int(chosen.sum()), columns))
    packed = pack_mixed_rows(codes)
    np.testing.assert_array_equal(unpack_mixed_rows(packed, (rows, columns)), codes)
    ternary = np.isin(codes, (-1, 0, 1)).all(1)
    assert ternary_row_count(packed, rows) == ternary.sum()
    assert packed.size == 4 * -(-rows // 16) + ternary.sum() * -(-columns // 4) + (
        (~ternary).sum() * columns)


@pytest.mark.parametrize("cell", CELLS)
def test_absent_operands(cell: str) -> None:
    """No bias and no initial states count as zeros; absent outputs are not written."""
    sizes = GEOMETRY[1]
    rng = np.random.default_rng(0)
    rows = GATES[cell] * sizes.hidden
    tensors: dict[str, Array | None] = {
        "x": rng.normal(0, 1, (sizes.steps, 1, sizes.in_features)).astype(np.float32),
        "w": rng.normal(0, 1, (1, rows, sizes.in_features)).astype(np.float32),
        "r": rng.normal(0, 1, (1, rows, sizes.hidden)).astype(np.float32),
        "b": np.zeros((1, BIASES[cell] * sizes.hidden), np.float32),
        "h0": np.zeros((1, 1, sizes.hidden), np.float32),
        **_tensors(cell, sizes, np.float32, np.float32),
    }
    if cell == "lstm":
        tensors["c0"] = np.zeros((1, 1, sizes.hidden), np.float32)
    numbers = {**_numbers(cell, sizes), **_option(cell, 0)}
    full = call(f"{cell}_f32", tensors, **numbers)
    absent: dict[str, Array | None] = {
        name: None for name in ("b", "h0", "c0", "y", "c_last") if name in tensors}
    partial = call(f"{cell}_f32", {**tensors, **absent}, **numbers)
    np.testing.assert_array_equal(partial["h_last"], full["h_last"])


@pytest.mark.parametrize("cell", CELLS)
def test_state_in_place(cell: str) -> None:
    """A kept state is the initial and the last one at once."""
    sizes = Sizes(4, 2, 3, 5, 1, 0)
    tensors, k, _, _ = _integer_case(cell, True, sizes)
    numbers = _integer_numbers(cell, 0, sizes, k)
    apart = call(f"{cell}_i8_t2", tensors, **numbers)
    alias = {"h_last": "h0"} | ({"c_last": "c0"} if cell == "lstm" else {})
    together = call(f"{cell}_i8_t2", tensors, alias, **numbers)
    for name, wanted in apart.items():
        np.testing.assert_array_equal(together[name], wanted)


@pytest.mark.parametrize("x_type", [np.int8, np.int16])
@pytest.mark.parametrize("ternary", [False, True], ids=["w8", "t2"])
@pytest.mark.parametrize("cell", CELLS)
def test_checks(cell: str, ternary: bool, x_type: Any) -> None:
    sizes = Sizes(2, 2, 3, 4, 2, 0)
    tensors, k, _, _ = _integer_case(cell, ternary, sizes, 5, x_type)
    bits = 16 if x_type is np.int16 else 8
    name = f"{cell}_i{bits}{'_t2' if ternary else ''}"
    numbers = _integer_numbers(cell, 1, sizes, k)
    assert_sizes_checked(name, tensors, **numbers)
    bad = [{"directions": 3}, {"directions": 0}, {"reverse": 2}, {"steps": 0}, {"shift": 47},
           {"hidden": 2**31}, {"batch": 2**24 + 1}, {"in_features": 0},
           {"lo": -(2 ** (bits - 1)) - 1},
           {"out_shift": 50}]
    for change in (*bad, {"cell_bits": 16}) if cell == "lstm" else bad:
        with pytest.raises(Refused):
            call(name, tensors, **{**numbers, **change})


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_are_apart(cell: str) -> None:
    """Two cores may take different sequences: no byte of an output belongs to both."""
    sizes = Sizes(3, 2, 3, 4, 2, 0)
    tensors, k, _, _ = _integer_case(cell, False, sizes)
    it = Call(f"{cell}_i8", tensors, _integer_numbers(cell, 1, sizes, k))
    assert it.rows == 4
    assert_ranges_disjoint(it)


@pytest.mark.parametrize("cell", CELLS)
def test_int16_state_in_place(cell: str) -> None:
    sizes = Sizes(4, 2, 3, 5, 1, 0)
    tensors, k, _, _ = _integer_case(cell, True, sizes, 5, np.int16)
    numbers = _integer_numbers(cell, 0, sizes, k)
    apart = call(f"{cell}_i16_t2", tensors, **numbers)
    alias = {"h_last": "h0"} | ({"c_last": "c0"} if cell == "lstm" else {})
    together = call(f"{cell}_i16_t2", tensors, alias, **numbers)
    for name, wanted in apart.items():
        np.testing.assert_array_equal(together[name], wanted)


def _gate(name: str, x: Array) -> Array:
    function = getattr(math_library(), f"ternc_{name}")
    function.argtypes, function.restype = [ctypes.c_int32], ctypes.c_int32
    return np.array([function(int(v)) for v in x])


def test_gates() -> None:
    """The stated bounds: 4 of 2^-15 for tanh, 3 for sigmoid, for every x that matters."""
    every = np.arange(-(9 << 16), 9 << 16, dtype=np.int64)
    real = every / 65536
    assert np.abs(tanh_q15(every) - np.tanh(real) * 32768).max() <= 4
    wide = np.arange(-(17 << 16), 17 << 16, dtype=np.int64)
    from_tanh = (tanh_q15(wide >> 1) + 32768) >> 1
    assert np.abs(from_tanh - sigmoid(wide / 65536) * 32768).max() <= 3
    edges = np.array([-(2**31), 2**31 - 1, 0, 1, -1, 2047, 2048, (8 << 16) - 1, 8 << 16])
    some = np.concatenate([edges, np.random.default_rng(0).integers(-(9 << 16), 9 << 16, 3000)])
    np.testing.assert_array_equal(_gate("tanh_q15", some), tanh_q15(some))
    np.testing.assert_array_equal(_gate("sigmoid_q15", some),
                                  (tanh_q15(some >> 1) + 32768) >> 1)


def test_int16_gates() -> None:
    """Their stated bounds: 1.5 of 2^-15 for tanh, 1 for sigmoid."""
    every = np.arange(-(17 << 16), 17 << 16, dtype=np.int64)
    assert np.abs(tanh_i16(every) - np.tanh(every / 65536) * 32768).max() <= 1.5
    assert np.abs(sigmoid_i16(every) - sigmoid(every / 65536) * 32768).max() <= 1
    edges = np.array([-(2**31), 2**31 - 1, 0, 1, -1, 2047, 2048, (8 << 16) - 1, 8 << 16,
                      12 << 16, (12 << 16) + 1, -(12 << 16), -(12 << 16) - 1])
    some = np.concatenate([edges, np.random.default_rng(0).integers(-(9 << 16), 9 << 16, 3000)])
    np.testing.assert_array_equal(_gate("tanh_i16", some), tanh_i16(some))
    np.testing.assert_array_equal(_gate("sigmoid_i16", some), sigmoid_i16(some))


@pytest.mark.parametrize(("source", "target"), [
    (np.int8, np.int16), (np.int16, np.int8), (np.int16, np.int16), (np.int8, np.int8)])
def test_rescale(source: type, target: type) -> None:
    rng = np.random.default_rng(1)
    edge, limit = np.iinfo(source), np.iinfo(target)
    values = rng.integers(edge.min, edge.max + 1, 50).tolist()
    x: Array = np.array([*values, edge.min, edge.max], source)
    m, c, shift = 3 << 17, -70, 4
    found = call("rescale", {"x": x, "y": np.zeros(x.size, target)}, count=x.size, m=m, c=c,
                 shift=shift, lo=int(limit.min) + 1, hi=int(limit.max))
    wide = (x.astype(np.int64) * m + (c << 16)) >> (16 + shift)
    wanted = np.clip(wide, limit.min + 1, limit.max)
    np.testing.assert_array_equal(found["y"], wanted)
    with pytest.raises(Refused):
        call("rescale", {"x": x, "y": np.zeros(x.size, target)}, count=x.size, m=m, c=c,
             shift=shift, lo=int(limit.min) - 1, hi=0)

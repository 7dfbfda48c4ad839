"""Generated straight-line code computes the sums of ternary weights, for any weights."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.straight_line import OUTPUTS, Requantized, clusters, emit_block

SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"


def ternary(rows: int, columns: int, zeros: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    side = (1 - zeros) / 2
    return generator.choice([-1, 0, 1], p=[side, zeros, side], size=(rows, columns)).astype(
        np.int8
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(1, OUTPUTS), st.integers(1, 40), st.sampled_from([0.0, 0.5, 0.9, 1.0]),
       st.integers(0, 2**31))
def test_clusters_cover_every_weight_once(
    rows: int, columns: int, zeros: float, seed: int
) -> None:
    """Expanding the shared subexpressions gives the weights back."""
    codes = ternary(rows, columns, zeros, seed)
    found = np.zeros_like(codes, dtype=np.int64)
    for cluster in clusters(codes):
        terms = [{column: 1} for column in cluster.inputs]
        for (a, sign_a), (b, sign_b) in cluster.definitions:
            total: dict[int, int] = {}
            for term, sign in ((a, sign_a), (b, sign_b)):
                for column, factor in terms[term].items():
                    total[column] = total.get(column, 0) + sign * factor
            terms.append(total)
        for output, row in enumerate(cluster.rows):
            for term, sign in row:
                for column, factor in terms[term].items():
                    found[output, column] += sign * factor
    assert np.array_equal(found, codes)


def test_sharing_saves_work() -> None:
    """On random weights the code needs well under one addition per nonzero weight."""
    codes = ternary(OUTPUTS, 144, 0.5, 0)
    cost = sum(cluster.cost for cluster in clusters(codes))
    assert cost < 0.85 * np.count_nonzero(codes)


def test_bounds_are_those_of_the_worst_activations() -> None:
    """A test of a bound is left out only where no activations need it."""
    codes = np.array([[1, -1, 0], [1, 1, 1], [0, 0, 0], [-1, -1, -1]], np.int8)
    x = np.array(np.meshgrid(*[[-128, 0, 127]] * 3)).reshape(3, -1)
    sums = codes.astype(np.int64) @ x
    left_out = 0
    for m, c, shift in ((2**25, 0, 9), (2**24, 40 << 9, 9), (2**23 - 2, -(9 << 9), 9)):
        scale = Requantized(np.full(4, m), np.full(4, c), shift, -100, 100)
        y = (sums * m + (c << 16)) >> (16 + shift)
        expected = [(bool(row.min() < -100), bool(row.max() > 100)) for row in y]
        assert scale.bounds(codes) == expected
        left_out += sum(not test for tests in expected for test in tests)
    assert 0 < left_out < 24


@pytest.mark.parametrize(
    ("rows", "columns", "zeros"), [(16, 30, 0.5), (3, 7, 0.3), (16, 1, 0.0), (5, 9, 1.0)]
)
def test_compiled_code_gives_both_lanes(
    rows: int, columns: int, zeros: float, tmp_path: Path
) -> None:
    """Two 16-bit sums in each word, each plus 0x8000, at every position."""
    codes = ternary(rows, columns, zeros, 3)
    source = tmp_path / "block.c"
    source.write_text(
        '#include "ternc_lines.h"\n'
        + emit_block("block", codes, [k - 4 for k in range(columns)])
        + "\nvoid call(const uint32_t *x, uint32_t positions, uint32_t step, uint32_t *sums) {\n"
        "  block(x, x + positions * step, step, sums);\n}\n", encoding="utf-8")
    library = tmp_path / "block.so"
    subprocess.run(["cc", "-std=c99", "-O2", "-shared", "-fPIC", f"-I{SOURCES}", str(source), "-o",
                    str(library)], check=True)
    generator = np.random.default_rng(1)
    positions, step = 5, 3
    length = positions * step + columns
    lanes = generator.integers(-128, 128, (2, length))
    words = ((lanes[0] + lanes[1] * 65536) & 0xFFFFFFFF).astype(np.uint32)
    sums = np.zeros(positions * OUTPUTS, np.uint32)
    pointer = words.ctypes.data + 4 * 4
    call = ctypes.CDLL(str(library)).call
    call.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p]
    call(pointer, positions, step, sums.ctypes.data)
    wide = codes.astype(np.int64)
    for position in range(positions):
        window = lanes[:, position * step : position * step + columns]
        got = sums.reshape(positions, OUTPUTS)[position, :rows]
        assert np.array_equal((got & 0xFFFF).astype(np.int64) - 0x8000, wide @ window[0])
        assert np.array_equal((got >> 16).astype(np.int64) - 0x8000, wide @ window[1])

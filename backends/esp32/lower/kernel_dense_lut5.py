"""Five ternary weights to a byte: for dense layers that wait for their weights from flash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ternc.backends.esp32.lower.kernel_cost import Array, Choice, Numbers
from ternc.backends.esp32.lower.kernel_layouts import pack_dense_lut
from ternc.backends.esp32.program import DType

TABLES: Final = 8  # at a time
WORDS: Final = 122  # of a table
_LEAST: Final = 1 << 18  # weights: fewer may stay in a cache, and cost more to look up
_SLABS: Final = (128, 256, 512)


def dense_lut5(codes: Array, numbers: Numbers) -> Iterator[Choice]:
    """Candidates for a large layer, by how many outputs' sums are in memory at a time."""
    out, inputs = codes.shape
    if codes.size < _LEAST:
        return
    tiles = -(-inputs // (5 * TABLES))
    for slab in sorted({out, *(size for size in _SLABS if size < out)}):
        tables = -(-out // slab) * tiles * TABLES * 275
        each = tables + tiles * out * (5 * TABLES + 5) + 18 * out
        yield Choice(
            "dense_i8_t2_lut5", pack_dense_lut(codes, TABLES, slab, 5), DType.U8,
            numbers["rows"] * each, WORDS * TABLES + slab, {"slab": slab},
        )  # fmt: skip

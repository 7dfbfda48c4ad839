"""Weight layouts of the fast kernels: how weights become bytes, and back.

Pattern tables. `k` activations make (3^k - 1)/2 sums up to sign, numbered by the recursion
H1 = {x0}, H(k+1) = {Hk, Hk + xk, Hk - xk, xk}; a pattern of k trits is such a sum or its negation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ternc.quantize import pack_ternary, unpack_ternary

IntArray = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_FIELDS = 6  # of 5 bits in a word


@cache
def patterns(size: int) -> IntArray:
    """The patterns of `size` trits, in the order of the table: [(3^size - 1)/2, size]."""
    if size == 1:
        return np.ones((1, 1), np.int64)
    shorter = patterns(size - 1)
    count = len(shorter)
    table = np.zeros((3 * count + 1, size), np.int64)
    table[: 3 * count, :-1] = np.tile(shorter, (3, 1))
    table[count : 2 * count, -1] = 1
    table[2 * count : 3 * count, -1] = -1
    table[-1, -1] = 1
    return table


@cache
def _index(size: int) -> IntArray:
    """For each pattern read as a base-3 number (trit + 1, first lowest): +-(1 + place), or 0."""
    index = np.zeros(3**size, np.int64)
    weights = 3 ** np.arange(size)
    table = patterns(size)
    place = np.arange(1, len(table) + 1)
    index[(table + 1) @ weights] = place
    index[(1 - table) @ weights] = -place
    return index


def pattern_numbers(trits: npt.NDArray[np.generic]) -> IntArray:
    """+-(1 + number) of the patterns along the last axis; 0 for all-zero ones."""
    size = trits.shape[-1]
    return np.asarray(_index(size)[(trits.astype(np.int64) + 1) @ (3 ** np.arange(size))])


def pack_dense_lut(
    codes: npt.NDArray[np.generic], block: int, slab: int, group: int = 4
) -> Bytes:
    """`dense_i8_t2_lut`: bytes 4*h + 2*negated; `dense_i8_t2_lut5` (group 5): 2*h + negated.

    Rows are padded with zeros. For each slab of outputs (the last may be smaller)
    [tile][out][block], one after the other.
    """
    inputs = codes.shape[1]
    tiles = -(-inputs // (group * block))
    padded = np.zeros((len(codes), tiles * group * block), np.int64)
    padded[:, :inputs] = codes
    numbers = pattern_numbers(padded.reshape(-1, tiles, block, group))
    unit = 2 if group == 4 else 1
    packed = (unit * (2 * np.abs(numbers) + (numbers < 0))).astype(np.uint8)
    starts = range(0, len(codes), slab)
    return np.concatenate([packed[i : i + slab].transpose(1, 0, 2).reshape(-1) for i in starts])


def unpack_dense_lut(
    packed: Bytes, shape: tuple[int, int], block: int, slab: int, group: int = 4
) -> npt.NDArray[np.int8]:
    """The weights of `shape` (out, in) behind `pack_dense_lut`."""
    out, inputs = shape
    tiles = -(-inputs // (group * block))
    table = np.concatenate([np.zeros((1, group), np.int64), patterns(group)])
    halves = packed // (2 if group == 4 else 1)
    trits = (table[halves >> 1] * np.where(halves & 1, -1, 1)[..., None]).astype(np.int8)
    rows, at = [], 0
    for first in range(0, out, slab):
        count = min(slab, out - first)
        part = trits[at : at + tiles * count * block].reshape(tiles, count, block * group)
        rows.append(part.transpose(1, 0, 2).reshape(count, -1)[:, :inputs])
        at += tiles * count * block
    return np.concatenate(rows)


def pack_recurrent_lut(
    w: npt.NDArray[np.generic], r: npt.NDArray[np.generic], gates: int
) -> Bytes:
    """`lstm_i8_t2_lut` and its like: bytes 4*h + 2*negated.

    Args:
        w: ternary weights [directions][gates * hidden][inputs].
        r: the same for the states, [directions][gates * hidden][hidden].
        gates: 4, 3 or 1.

    Returns:
        [directions][gates][ceil(hidden / 4)][tables of x, then of h; each an even number][4].
    """
    parts = []
    for codes in (w, r):
        tables = -(-codes.shape[-1] // 8) * 2
        padded = np.zeros((*codes.shape[:-1], 4 * tables), np.int64)
        padded[..., : codes.shape[-1]] = codes
        parts.append(pattern_numbers(padded.reshape(*codes.shape[:-1], tables, 4)))
    numbers = np.concatenate(parts, -1)
    directions, rows, tables = numbers.shape
    hidden = rows // gates
    blocks = np.zeros((directions, gates, -(-hidden // 4) * 4, tables), np.int64)
    blocks[:, :, :hidden] = numbers.reshape(directions, gates, hidden, tables)
    blocks = blocks.reshape(directions, gates, -1, 4, tables).swapaxes(3, 4)
    return np.ascontiguousarray(4 * np.abs(blocks) + 2 * (blocks < 0)).astype(np.uint8)


def unpack_recurrent_lut(
    packed: Bytes, inputs: int, hidden: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """The weights w and r behind `pack_recurrent_lut`."""
    table = np.concatenate([np.zeros((1, 4), np.int64), patterns(4)])
    trits = (table[packed >> 2] * np.where(packed & 2, -1, 1)[..., None]).astype(np.int8)
    directions, gates, _, tables, _ = packed.shape
    rows = trits.swapaxes(3, 4).reshape(directions, gates, -1, 4 * tables)[:, :, :hidden]
    rows = rows.reshape(directions, gates * hidden, -1)
    first = -(-inputs // 8) * 8
    return rows[..., :inputs], rows[..., first : first + hidden]


def pack_recurrent_blocks(
    w: npt.NDArray[np.generic], r: npt.NDArray[np.generic], gates: int
) -> npt.NDArray[np.int8]:
    """`lstm_i8_blocked` and its like, from int8 weights as in `pack_recurrent_lut`.

    Returns:
        [directions][gates][ceil(hidden / 8)][inputs, then states][8].
    """
    both = np.concatenate([w, r], -1)
    directions, rows, columns = both.shape
    hidden = rows // gates
    blocks = np.zeros((directions, gates, -(-hidden // 8) * 8, columns), np.int8)
    blocks[:, :, :hidden] = both.reshape(directions, gates, hidden, columns)
    return np.ascontiguousarray(blocks.reshape(directions, gates, -1, 8, columns).swapaxes(3, 4))


def conv_lut_numbers(codes: npt.NDArray[np.generic], group: int, parts: int) -> IntArray:
    """Pattern numbers of a convolution's weights: [out][tap][part][group], as `pattern_numbers`.

    Args:
        codes: ternary weights [out][kernel_h][kernel_w][in].
        group: channels of a pattern.
        parts: into which the groups divide evenly (channels are padded with zeros).
    """
    out, height, width, channels = codes.shape
    groups = -(-channels // (group * parts))
    padded = np.zeros((out, height * width, parts * groups * group), np.int64)
    padded[..., :channels] = codes.reshape(out, height * width, channels)
    return pattern_numbers(padded.reshape(out, height * width, parts, groups, group))


def pack_conv_lut(numbers: IntArray, group: int, chunk: int) -> npt.NDArray[np.generic]:
    """`conv2d_i8_t2_lut`: the codes of `conv_lut_numbers`, [part][taps/chunk][out][chunk][code].

    Four channels to a code: bytes of 4*h + (1 when negated), 0 where there is no weight. Three:
    six codes to a word from the top, 5 bits of (16 when negated) + h, 16 where there is no weight;
    each tap begins a new word.
    """
    if group == 4:
        return _in_pieces((4 * np.abs(numbers) + (numbers < 0)).astype(np.uint8), chunk)
    fields = np.where(numbers == 0, 16, np.abs(numbers) + 16 * (numbers < 0))
    *outer, groups = numbers.shape
    words = -(-groups // _FIELDS)
    padded = np.zeros((*outer, words * _FIELDS), np.int64)
    padded[..., :groups] = fields
    shifted = padded.reshape(*outer, words, _FIELDS) << (27 - 5 * np.arange(_FIELDS))
    return _in_pieces(shifted.sum(-1).astype(np.uint32).view(np.int32), chunk)


def _in_pieces(codes: npt.NDArray[np.generic], chunk: int) -> npt.NDArray[np.generic]:
    """[out][tap][part][code] as one row of [part][taps/chunk][out][chunk][code]."""
    ordered = codes.transpose(2, 0, 1, 3)
    starts = range(0, codes.shape[1], chunk)
    return np.concatenate(
        [part[:, at : at + chunk].reshape(-1) for part in ordered for at in starts])


def unpack_conv_lut(
    packed: npt.NDArray[np.generic], group: int, parts: int, chunk: int,
    shape: tuple[int, int, int, int]
) -> npt.NDArray[np.int8]:
    """The weights of `shape` (out, kernel_h, kernel_w, in) behind `pack_conv_lut`."""
    out, height, width, channels = shape
    taps, groups = height * width, -(-channels // (group * parts))
    each = groups if group == 4 else -(-groups // _FIELDS)
    codes = np.zeros((parts, out, taps, each), np.int64)
    at = 0
    for part in range(parts):
        for first in range(0, taps, chunk):
            piece = codes[part, :, first : first + chunk]
            piece[:] = packed[at : at + piece.size].reshape(piece.shape)
            at += piece.size
    table = np.concatenate([np.zeros((1, group), np.int64), patterns(group)])
    if group == 4:
        place, negated = codes >> 2, codes & 1
    else:
        words = codes[..., None] >> (27 - 5 * np.arange(_FIELDS))
        fields = words.reshape(*codes.shape[:3], -1)[..., :groups]
        place, negated = fields & 15, fields >> 4 & 1
    trits = table[place] * np.where(negated, -1, 1)[..., None]
    rows = trits.transpose(1, 2, 0, 3, 4).reshape(out, height, width, -1)
    return np.asarray(rows[..., :channels].astype(np.int8))


def pack_blocks(codes: npt.NDArray[np.generic]) -> npt.NDArray[np.int8]:
    """`dense_i8_blocked`, `conv2d_i8_blocked`: [ceil(out/4)][inputs][4], missing outputs zeros."""
    flat = codes.reshape(len(codes), -1)
    padded = np.zeros((-(-len(flat) // 4) * 4, flat.shape[1]), np.int8)
    padded[: len(flat)] = flat
    return np.ascontiguousarray(padded.reshape(-1, 4, flat.shape[1]).transpose(0, 2, 1))


def pack_tiles(codes: npt.NDArray[np.generic]) -> npt.NDArray[np.int16]:
    """`conv2d_i8_tiles`: four times G w G^T of int8 weights [out][3][3][in].

    As [out/4][16][in][4], the missing ones of the last block zeros.
    """
    twice_g = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
    out, channels = codes.shape[0], codes.shape[-1]
    padded = np.zeros((-(-out // 4) * 4, 3, 3, channels), np.int64)
    padded[:out] = codes
    tiles = np.einsum("ia,oabc,jb->oijc", twice_g, padded, twice_g)
    blocks = tiles.reshape(-1, 4, 16, channels).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(blocks, np.int16)


_GROUP = 16  # rows whose forms a record tells
MOST_MIXED_ROWS = 2**16 - 1


def pack_mixed_rows(codes: npt.NDArray[np.generic]) -> Bytes:
    """Rows [rows, n] of `lstm_i8_mixed` and its like: those of ternary codes in two bits each.

    For every 16 rows first a record of two little-endian 16-bit numbers: a bit for each row, the
    first lowest, 1 for ternary, and how many ternary rows come before.
    """
    ternary = ternary_rows(codes)
    assert len(codes) <= MOST_MIXED_ROWS
    bits = np.pad(ternary, (0, -len(codes) % _GROUP)).reshape(-1, _GROUP)
    before = np.concatenate([[0], bits.sum(1).cumsum()[:-1]])
    records = np.stack([bits @ (1 << np.arange(_GROUP)), before], 1).astype("<u2")
    rows = [np.frombuffer(pack_ternary(row.astype(np.int8)), np.uint8) if packed
            else row.astype(np.int8).view(np.uint8)
            for row, packed in zip(codes, ternary, strict=True)]
    return np.concatenate([records.reshape(-1).view(np.uint8), *rows])


def ternary_row_count(packed: Bytes, rows: int) -> int:
    """How many of the rows behind `pack_mixed_rows` are ternary."""
    records = packed[: 4 * -(-rows // _GROUP)].view("<u2").reshape(-1, 2)
    return int(records[-1, 1]) + int(records[-1, 0]).bit_count()


def unpack_mixed_rows(packed: Bytes, shape: tuple[int, int]) -> npt.NDArray[np.int8]:
    """The rows of `shape` behind `pack_mixed_rows`."""
    count, size = shape
    records = -(-count // _GROUP)
    bits = packed[: 4 * records].view("<u2").reshape(-1, 2)[:, 0]
    codes, at = np.empty(shape, np.int8), 4 * records
    for row in range(count):
        ternary = bits[row // _GROUP] >> row % _GROUP & 1
        end = at + (-(-size // 4) if ternary else size)
        part = packed[at:end]
        codes[row] = unpack_ternary(part.tobytes(), (size,)) if ternary else part.view(np.int8)
        at = end
    return codes


def ternary_rows(codes: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Which rows of [..., n] hold only -1, 0 and +1."""
    return np.asarray(np.isin(codes, (-1, 0, 1)).all(axis=-1))

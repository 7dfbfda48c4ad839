"""Ternary codes as bytes: the interchange form (four to a byte) and the dense form (five)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_PER_BYTE = 4
_TRITS = 5
_LARGEST_TRITS = 3**_TRITS - 1  # 242
# Bit positions of the four codes of a byte, first weight in the most significant two bits.
_SHIFTS = np.array([6, 4, 2, 0], np.uint8)
_POWERS = 3 ** np.arange(_TRITS)


def _flat_codes(codes: npt.ArrayLike) -> npt.NDArray[np.int8]:
    flat = np.asarray(codes).reshape(-1)
    if flat.size and not np.isin(flat, (-1, 0, 1)).all():
        bad = flat[~np.isin(flat, (-1, 0, 1))][0]
        raise ValueError(f"{bad!s} is not a ternary weight: -1, 0 or 1 expected")
    return flat.astype(np.int8)


def _padded(flat: npt.NDArray[np.int8], multiple: int) -> npt.NDArray[np.int8]:
    return np.pad(flat, (0, -flat.size % multiple)).reshape(-1, multiple)


def _checked(data: bytes, shape: tuple[int, ...], per_byte: int) -> npt.NDArray[np.uint8]:
    if any(extent < 0 for extent in shape):
        raise ValueError(f"the shape {shape} has a negative extent")
    count = math.prod(shape)
    expected = -(-count // per_byte)
    if len(data) != expected:
        raise ValueError(
            f"{count} weights at {per_byte} per byte take {expected} bytes, not {len(data)}"
        )
    return np.frombuffer(data, np.uint8)


def _cut(weights: npt.NDArray[np.int8], shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    count = math.prod(shape)
    flat = weights.reshape(-1)
    if flat[count:].any():
        raise ValueError("the padding after the last weight is not zero")
    return flat[:count].reshape(shape)


def pack_ternary(codes: npt.ArrayLike) -> bytes:
    """Packs weights -1, 0, 1 in two bits each: 0 is 00, +1 is 01, -1 is 10.

    Four to a byte, first weight in the most significant two bits, row-major, no row padding, the
    tail padded with 00.

    Raises:
        ValueError: A weight is not -1, 0 or 1.
    """
    groups = _padded(_flat_codes(codes), _PER_BYTE)
    bits = np.where(groups < 0, 2, groups).astype(np.uint8)
    packed: npt.NDArray[np.uint8] = (bits << _SHIFTS).sum(axis=1, dtype=np.uint8)
    return packed.tobytes()


def unpack_ternary(data: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Unpacks what `pack_ternary` packed.

    Raises:
        ValueError: A code is 11, the length does not fit the shape, or the padding is not 00.
    """
    packed = _checked(data, shape, _PER_BYTE)
    bits = (packed[:, None] >> _SHIFTS) & 3
    if (bits == 3).any():
        byte = int(np.argwhere((bits == 3).any(axis=1))[0, 0])
        raise ValueError(f"byte {byte} (0x{packed[byte]:02x}) holds the invalid code 11")
    return _cut(np.where(bits == 2, -1, bits).astype(np.int8), shape)


def pack_trits(codes: npt.ArrayLike) -> bytes:
    """Packs weights -1, 0, 1 five to a byte: the byte is the sum of (w + 1) * 3^k, k = 0 first.

    Row-major, no row padding, the tail padded with zero weights.

    Raises:
        ValueError: A weight is not -1, 0 or 1.
    """
    groups = _padded(_flat_codes(codes), _TRITS).astype(np.int64)
    packed: npt.NDArray[np.int64] = ((groups + 1) * _POWERS).sum(axis=1)
    return packed.astype(np.uint8).tobytes()


def unpack_trits(data: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Unpacks what `pack_trits` packed.

    Raises:
        ValueError: A byte is above 242, the length does not fit the shape, or the padding holds
            a weight other than 0.
    """
    packed = _checked(data, shape, _TRITS)
    if (packed > _LARGEST_TRITS).any():
        byte = int(np.argmax(packed > _LARGEST_TRITS))
        raise ValueError(f"byte {byte} ({packed[byte]}) is above {_LARGEST_TRITS}")
    trits = packed[:, None] // _POWERS % 3
    return _cut((trits - 1).astype(np.int8), shape)

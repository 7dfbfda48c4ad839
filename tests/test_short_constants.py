"""Requantization constants of 32 bits: as exact as they say, and the same in their long form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.quantize import ShortConstants, requantize, short_constants
from ternc.quantize.short_constants import MOST_ERROR

Array = npt.NDArray[Any]
LO, HI = -128, 127


def by_definition(acc: Array, k: ShortConstants) -> Array:
    """y of the short form, in Python's integers as the kernels compute it."""
    e = k.m & 3
    y: Array = np.clip((acc * k.m + (k.c << k.c_shift)) >> (k.shift + e), LO, HI)
    return y


@st.composite
def layers(draw: st.DrawFn) -> tuple[Array, Array, Array, Array]:
    """Multipliers, biases, smallest and largest accumulators, as ternary layers have them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 12))
    high = rng.integers(0, draw(st.sampled_from([1, 300, 20_000, 100_000])), count)
    low = -rng.integers(0, high + 1)
    spread = draw(st.sampled_from([1.0, 10.0, 300.0]))
    multipliers = draw(st.sampled_from([0.005, 0.1, 3.0])) * spread ** rng.random(count)
    bias = rng.normal(0, draw(st.sampled_from([1.0, 100.0, 2000.0])), count)
    return multipliers, bias, low, high


@settings(deadline=None)
@given(layers(), st.integers(0, 2**32 - 1))
def test_the_error_is_what_they_say(layer: tuple[Array, Array, Array, Array], seed: int) -> None:
    multipliers, bias, low, high = layer
    found = short_constants(multipliers, bias, low, high, LO, HI)
    if found is None:
        return
    assert found.error <= MOST_ERROR
    acc = np.random.default_rng(seed).integers(low, high + 1, (200, len(low)))
    acc = np.concatenate([[low, high], acc])
    exact = acc * multipliers + bias
    sums = acc * found.m + (found.c << found.c_shift)
    assert np.abs(sums).max() < 2**31  # in which the kernels compute
    inside = (exact > LO) & (exact < HI)
    got = sums / 2.0 ** (found.shift + (found.m & 3)) - 0.5
    assert (np.abs(got - exact)[inside] <= found.error * (1 + 1e-9)).all()
    y = by_definition(acc, found)
    ideal = np.clip(np.floor(exact + 0.5), LO, HI)
    assert (np.abs(y - ideal) <= 1).all()
    near_a_tie = np.abs(exact - np.floor(exact) - 0.5) <= found.error * (1 + 1e-9)
    assert ((y == ideal) | near_a_tie).all()


@settings(deadline=None)
@given(layers(), st.integers(0, 2**32 - 1))
def test_the_long_form_is_the_same(layer: tuple[Array, Array, Array, Array], seed: int) -> None:
    multipliers, bias, low, high = layer
    found = short_constants(multipliers, bias, low, high, LO, HI, 0.49)
    if found is None:
        return
    acc = np.random.default_rng(seed).integers(low, high + 1, (200, len(low)))
    long = found.long()
    assert (long.m >= 0).all()
    assert (long.m % 2 == 0).all()
    np.testing.assert_array_equal(requantize(acc, long, LO, HI), by_definition(acc, found))


def test_packed_holds_all_bits() -> None:
    found = ShortConstants(np.array([65535, 3]), np.array([-32768, 32767]), 8, 20, 0.0)
    assert found.packed.dtype == np.int16
    assert found.packed.tobytes() == bytes.fromhex("ffff0080" "0300ff7f")


def test_ordinary_layers_are_exact_enough() -> None:
    """Biases of thousands of output units, multipliers that differ by a factor of 30."""
    multipliers = np.geomspace(0.1, 3.0, 16)
    bias = np.linspace(-1500, 300, 16)
    found = short_constants(multipliers, bias, -4000, 4000, LO, HI)
    assert found is not None
    assert found.error < 1 / 16


def test_one_bit_less_would_show() -> None:
    """The error that is found is not far above the one that these bits allow."""
    found = short_constants([0.0837], [3.3], [-8000], [8000], LO, HI)
    assert found is not None
    assert found.error < 1 / 64
    assert found.m[0] >= 2**13


def test_channels_that_only_saturate_may_be_anywhere() -> None:
    found = short_constants([0.01, 5.0, 5.0], [0.0, 9e6, -9e6], -1000, 1000, LO, HI)
    assert found is not None
    assert found.error < 1 / 64
    y = by_definition(np.array([[-1000] * 3, [0] * 3, [1000] * 3]), found)
    assert y.tolist() == [[-10, 127, -128], [0, 127, -128], [10, 127, -128]]


def test_a_channel_without_weights_is_its_bias() -> None:
    found = short_constants([0.3], [17.2], [0], [0], LO, HI)
    assert found is not None
    assert by_definition(np.array([[0]]), found).tolist() == [[17]]


def test_what_does_not_fit_is_refused() -> None:
    assert short_constants([-0.1], [0.0], [-9], [9], LO, HI) is None
    assert short_constants([np.nan], [0.0], [-9], [9], LO, HI) is None
    assert short_constants([0.1], [np.inf], [-9], [9], LO, HI) is None
    # One channel uses all of its range in small steps, another needs a shift of a few bits.
    assert short_constants([0.001, 60.0], [0.0, 0.0], -100_000, 100_000, LO, HI) is None

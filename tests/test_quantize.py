"""The quantization maths: packing, affine codes, ternarization, requantization constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ternc import quantize as q

Pack = Callable[[npt.ArrayLike], bytes]
Unpack = Callable[[bytes, tuple[int, ...]], npt.NDArray[np.int8]]
Layer = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]

CODES = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7),
    elements=st.integers(-1, 1),
)


class TestPacking:
    def test_interchange_layout(self) -> None:
        # First weight in the top two bits: 01 10 00 01, then 10 and padding.
        assert q.pack_ternary([1, -1, 0, 1, -1]) == bytes([0b01_10_00_01, 0b10_00_00_00])

    def test_trit_layout(self) -> None:
        assert q.pack_trits([1, -1, 0, 1, -1]) == bytes([2 + 0 * 3 + 1 * 9 + 2 * 27 + 0 * 81])
        assert q.pack_trits([1]) == bytes([2 + 3 + 9 + 27 + 81])

    @given(CODES)
    def test_round_trips(self, codes: np.ndarray) -> None:
        for pack, unpack, per_byte in (
            (q.pack_ternary, q.unpack_ternary, 4), (q.pack_trits, q.unpack_trits, 5)
        ):
            data = pack(codes)
            assert len(data) == -(-codes.size // per_byte)
            restored = unpack(data, codes.shape)
            assert restored.dtype == np.int8
            np.testing.assert_array_equal(restored, codes)

    @given(st.binary(min_size=1, max_size=9))
    def test_bytes_are_valid_or_refused(self, data: bytes) -> None:
        bad = any((byte >> shift) & 3 == 3 for byte in data for shift in (0, 2, 4, 6))
        if bad:
            with pytest.raises(ValueError, match="invalid code 11"):
                q.unpack_ternary(data, (4 * len(data),))
        else:
            assert q.pack_ternary(q.unpack_ternary(data, (4 * len(data),))) == data
        if max(data) > 242:
            with pytest.raises(ValueError, match="above 242"):
                q.unpack_trits(data, (5 * len(data),))
        else:
            assert q.pack_trits(q.unpack_trits(data, (5 * len(data),))) == data

    @pytest.mark.parametrize("unpack", [q.unpack_ternary, q.unpack_trits])
    def test_wrong_length_and_padding(self, unpack: Unpack) -> None:
        with pytest.raises(ValueError, match="take 2 bytes, not 1"):
            unpack(b"\0", (6,))
        with pytest.raises(ValueError, match="padding"):
            unpack(q.pack_ternary([0, 0, 1]) if unpack is q.unpack_ternary
                   else q.pack_trits([0, 0, 1]), (2,))

    @pytest.mark.parametrize("pack", [q.pack_ternary, q.pack_trits])
    @pytest.mark.parametrize("bad", [[2], [-2], [0.5], [127, 0]])
    def test_not_ternary(self, pack: Pack, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="not a ternary weight"):
            pack(bad)


class TestAffine:
    @given(
        st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32),
        st.sampled_from([8, 16]), st.booleans(),
    )
    def test_zero_is_exact_and_ends_are_near(
        self, one: float, two: float, bits: int, symmetric: bool
    ) -> None:
        low, high = sorted((one, two))
        assume(max(abs(low), abs(high)) > 1e-20)
        found = q.affine_parameters(low, high, bits=bits, symmetric=symmetric)
        assert found.scale == np.float32(found.scale)
        zero = q.quantize(np.zeros(1), found)
        assert q.dequantize(zero, found)[0] == 0
        assert zero.dtype == found.dtype
        if symmetric:
            assert found.zero_point == 0
        slack = found.scale * 0.501
        assert found.range[0] <= low + slack + abs(low) * 1e-6
        assert found.range[1] >= high - slack - abs(high) * 1e-6

    def test_rounds_half_to_even_and_saturates(self) -> None:
        parameters = q.AffineParameters(0.5, 3)
        values = [0.25, 0.75, 1.25, -0.25, -0.75, 1e9, -1e9, 0]
        assert q.quantize(values, parameters).tolist() == [3, 5, 5, 3, 1, 127, -128, 3]

    @pytest.mark.parametrize(("low", "high"), [
        (0, 0), (np.nan, 1), (-np.inf, 1), (2, 1), (0, 1e-45), (-3e38, 3e38 * 1e10),
    ])
    def test_unusable_ranges(self, low: float, high: float) -> None:
        with pytest.raises(ValueError, match="range"):
            q.affine_parameters(low, high)

    def test_agrees_with_onnxruntime(self) -> None:
        import onnx

        from ternc.oracle import Oracle

        model = onnx.parser.parse_model("""
            <ir_version: 10, opset_import: ["" : 21]>
            g (float[N] x, float s, int8 z) => (int8[N] y, float[N] back) {
                y = QuantizeLinear(x, s, z)
                back = DequantizeLinear(y, s, z)
            }""")
        generator = np.random.default_rng(0)
        parameters = q.affine_parameters(-1.3, 2.9)
        x = np.concatenate([
            generator.uniform(-2, 4, 5000),
            (np.arange(-256, 256) / 2) * parameters.scale,
        ]).astype(np.float32)
        found = Oracle(model).run(
            {"x": x, "s": np.float32(parameters.scale), "z": np.int8(parameters.zero_point)}
        )
        codes = q.quantize(x, parameters)
        np.testing.assert_array_equal(found["y"], codes)
        np.testing.assert_array_equal(found["back"], q.dequantize(codes, parameters))

    @given(hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5),
        elements=st.floats(-100, 100, width=32),
    ), st.integers(-2, 1))
    def test_weights(self, weights: np.ndarray, axis: int) -> None:
        found = q.quantize_weights(weights, axis)
        assert found.scale.shape == (weights.shape[axis],)
        assert np.abs(found.codes).max(initial=0) <= 127
        assert (found.scale > 0).all()
        step = found.scale.reshape([-1 if i == axis % weights.ndim else 1
                                    for i in range(weights.ndim)])
        assert (np.abs(found.dequantize() - weights) <= step * 0.5001).all()

    @given(hnp.arrays(np.int8, st.tuples(st.integers(1, 5), st.integers(1, 40)),
                      elements=st.integers(-127, 127)),
           st.lists(st.floats(2**-20, 8, width=32), min_size=5, max_size=5),
           st.sampled_from([0, 1, None]))
    def test_weights_on_a_grid_keep_it(
        self, codes: np.ndarray, scales: list[float], axis: int | None
    ) -> None:
        """int8 weights that were made float and come back are the same numbers, whatever m."""
        count = 1 if axis is None else len(codes)
        weights = codes * np.array(scales[:count], np.float32)[:, None]
        weights = weights.T if axis == 1 else weights
        found = q.quantize_weights(weights, axis)
        np.testing.assert_allclose(found.dequantize(), weights, rtol=3e-7)

    def test_other_weights_use_every_code(self) -> None:
        weights = np.random.default_rng(0).standard_normal((64, 9)).astype(np.float32)
        assert (np.abs(q.quantize_weights(weights).codes).max(axis=1) == 127).all()

    def test_zero_channel_takes_the_others_scale(self) -> None:
        found = q.quantize_weights([[0.0, 0.0], [127.0, 1.0]])
        assert found.scale.tolist() == [1.0, 1.0]
        assert q.quantize_weights(np.zeros((2, 2))).scale.tolist() == [1.0, 1.0]


class TestTernarize:
    @given(hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
        elements=st.floats(-8, 8, width=32),
    ), st.sampled_from(sorted(q.SCHEMES)), st.sampled_from([0, -1]))
    def test_shapes_and_signs(self, weights: np.ndarray, scheme: str, axis: int) -> None:
        found = q.ternarize(weights, scheme, axis)
        assert found.codes.dtype == np.int8
        assert found.codes.shape == weights.shape
        assert found.scale.dtype == np.float32
        assert (found.scale > 0).all()
        per_channel = q.SCHEMES[scheme].per_channel
        assert found.scale.shape == ((weights.shape[axis],) if per_channel else ())
        assert ((found.codes == 0) | (found.codes == np.sign(weights))).all()
        assert found.dequantize().shape == weights.shape

    @given(hnp.arrays(np.int8, (4, 9), elements=st.integers(-1, 1)),
           st.floats(2**-7, 8, width=32), st.sampled_from(["twn", "paretoq"]))
    def test_ternary_rows_keep_their_codes(
        self, codes: np.ndarray, scale: float, scheme: str
    ) -> None:
        np.testing.assert_array_equal(q.ternarize(codes * np.float32(scale), scheme).codes, codes)

    def test_formulas(self) -> None:
        w = np.array([[0.1, -0.4, 1.0, -2.5], [0.0, 3.0, 3.0, -0.1]])
        magnitude = np.abs(w)
        mean = magnitude.mean()
        bitnet = q.ternarize(w)
        assert bitnet.scale == np.float32(mean)
        np.testing.assert_array_equal(bitnet.codes, [[0, 0, 1, -1], [0, 1, 1, 0]])
        channel = q.ternarize(w, "bitnet_channel")
        np.testing.assert_allclose(channel.scale, magnitude.mean(axis=1))
        np.testing.assert_array_equal(channel.codes, [[0, 0, 1, -1], [0, 1, 1, 0]])
        twn = q.ternarize(w, "twn")  # thresholds 0.7 and 1.0675
        np.testing.assert_array_equal(twn.codes, [[0, 0, 1, -1], [0, 1, 1, 0]])
        np.testing.assert_allclose(twn.scale, [1.75, 3.0])
        median = q.ternarize(w, "median")  # thresholds 0.7 and 1.55
        np.testing.assert_array_equal(median.codes, [[0, 0, 1, -1], [0, 1, 1, 0]])
        lsq = q.ternarize(w, "lsq")
        assert lsq.scale == np.float32(2 * mean)
        np.testing.assert_array_equal(lsq.codes, [[0, 0, 0, -1], [0, 1, 1, 0]])
        paretoq = q.ternarize(w, "paretoq")  # a third of the largest is the threshold
        np.testing.assert_array_equal(paretoq.codes, [[0, 0, 1, -1], [0, 1, 1, 0]])
        np.testing.assert_allclose(paretoq.scale, [5 / 3, 2.0])

    def test_twn_scale_is_optimal(self) -> None:
        w = np.random.default_rng(1).standard_normal((1, 500))
        found = q.ternarize(w, "twn")
        codes = found.codes.astype(float)
        best = float((w * codes).sum() / (codes**2).sum())
        np.testing.assert_allclose(found.scale, [best], rtol=1e-6)

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r"unknown scheme 'absmax'.*bitnet"):
            q.ternarize(np.ones(3), "absmax")
        with pytest.raises(ValueError, match="not finite"):
            q.ternarize([1.0, np.nan])
        with pytest.raises(ValueError, match="no weights"):
            q.ternarize(np.zeros((0, 3)))


LAYERS = st.integers(1, 6).flatmap(lambda channels: st.tuples(
    hnp.arrays(np.float64, channels, elements=st.floats(-2.0, 2.0).filter(
        lambda v: v == 0 or abs(v) > 1e-9)),
    hnp.arrays(np.float64, channels, elements=st.floats(-1000, 1000)),
    hnp.arrays(np.int64, channels, elements=st.integers(0, 2**20)),
))


class TestRequantization:
    @given(LAYERS, st.integers(0, 2**32 - 1))
    def test_close_to_the_exact_value(self, layer: Layer, seed: int) -> None:
        multipliers, bias, bound = layer
        try:
            constants = q.requantize_constants(multipliers, bias, bound)
        except ValueError:
            # Legal only where a large product forces a coarse shift on the whole layer.
            assert (np.abs(multipliers) * bound + np.abs(bias)).max() > 2**19
            return
        generator = np.random.default_rng(seed)
        acc = generator.integers(-bound, bound, (200, bound.size), endpoint=True)
        acc[0], acc[1], acc[2] = bound, -bound, 0
        exact = acc * multipliers + bias
        got = q.requantize(acc, constants, -128, 127)
        rounded = np.clip(np.rint(exact), -128, 127)
        assert (np.abs(got - rounded) <= 1).all()
        # Off by one only near ties: within the stated error of one.
        to_tie = np.abs(exact - np.floor(exact) - 0.5)
        assert (to_tie[got != rounded] <= constants.error + 1e-9).all()

    @given(LAYERS)
    def test_limits_hold_and_the_shift_is_the_largest(self, layer: Layer) -> None:
        try:
            constants = q.requantize_constants(*layer)
        except ValueError:
            return
        multipliers, bias, bound = layer

        def holds(shift: int) -> bool:
            for scale, offset, limit in zip(multipliers, bias, bound, strict=True):
                m = 2 * round(float(scale) * 2 ** (15 + shift)) if limit else 0
                c = round(float(offset) * 2**shift) + 2 ** (shift - 1)
                ends = [((acc * m) >> 16) + c for acc in (int(limit), -int(limit))]
                if abs(m) >= 2**31 or not -(2**31) <= c < 2**31:
                    return False
                if max(map(abs, ends)) >= 2**31:
                    return False
            return True

        assert (constants.m % 2 == 0).all()
        assert 1 <= constants.shift <= 31
        assert holds(constants.shift)
        assert constants.shift == 31 or not holds(constants.shift + 1)

    def test_known_constants(self) -> None:
        found = q.requantize_constants([0.5], [10.0], [255])
        # 255 / 2 + 10 < 256 leaves 23 bits of fraction under 2^31; m would allow no more than 15.
        assert found.shift == 15
        assert found.m.tolist() == [2**30]
        assert found.c.tolist() == [10 * 2**15 + 2**14]
        assert q.requantize([[3], [-3], [400], [0]], found, -5, 100).ravel().tolist() == [
            12, 9, 100, 10
        ]

    def test_zero_multiplier_and_dead_channel(self) -> None:
        found = q.requantize_constants([0.0, 1e30, 0.25], [7.4, -3.6, 0.0], [1000, 0, 1000])
        assert found.m[:2].tolist() == [0, 0]
        got = q.requantize([[999, 0, 4]], found, -128, 127)
        assert got.tolist() == [[7, -4, 1]]

    def test_negative_multiplier_and_axis(self) -> None:
        found = q.requantize_constants([-0.01, 0.02], [0.0, 1.0], [10000, 10000])
        acc = np.array([[[500], [500]]])
        assert q.requantize(acc, found, -128, 127, axis=1).ravel().tolist() == [-5, 11]

    def test_max_shift(self) -> None:
        assert q.requantize_constants([1e-4], [0.0], [1000], max_shift=8).shift == 8

    def test_a_hot_channel_only_has_to_saturate(self) -> None:
        # Channel 0 leaves the type nearly always; the shift it forces suffices for an int8 output.
        layer = [2.0, 0.001], [0.0, 0.0], [2**24, 2**24]
        found = q.requantize_constants(*layer)
        assert found.error < 0.5
        got = q.requantize([[2**24, 100_000], [-40, -7_000]], found, -128, 127)
        assert got.tolist() == [[127, 100], [-80, -7]]
        with pytest.raises(ValueError, match="too coarse"):
            q.requantize_constants(*layer, output_bits=16)

    @pytest.mark.parametrize(("multipliers", "bias", "bound", "text"), [
        ([1.0, 2.0**20], [0.0, 0.0], [10, 10], "channel 1: the multiplier does not fit"),
        ([1.0], [2.0**31], [10], "channel 0: the bias does not fit"),
        ([2.0**13], [0.0], [2**20], "channel 0: the accumulator leaves 32 bits"),
        ([1.0, np.nan], [0.0, 0.0], [10, 10], "channel 1: the multiplier nan is not finite"),
        ([1.0], [np.inf], [10], "channel 0: the bias inf is not finite"),
        ([1.0], [0.0], [2**31], "channel 0: the accumulator bound 2147483648"),
        ([1e-5, 2.0**14 - 1], [0.0, 0.0], [2**30, 8], "channel 0: .*too coarse"),
    ])
    def test_impossible(
        self, multipliers: list[float], bias: list[float], bound: list[int], text: str
    ) -> None:
        with pytest.raises(ValueError, match=text):
            q.requantize_constants(multipliers, bias, bound)

    @given(LAYERS)
    def test_wide_kernels_get_the_finest_constants_whose_products_fit(self, layer: Layer) -> None:
        multipliers, bias, bound = layer
        wide_bound = bound.astype(np.int64) << 8
        try:
            found = q.requantize_constants(
                multipliers, bias, wide_bound, output_bits=16, wide=True)
        except ValueError:
            return

        def holds(shift: int) -> bool:
            for scale, offset, limit in zip(multipliers, bias, wide_bound, strict=True):
                m = 2 * round(float(scale) * 2 ** (15 + shift)) if limit else 0
                c = round(float(offset) * 2**shift) + 2 ** (shift - 1)
                if abs(m) >= 2**31 or not -(2**31) <= c < 2**31 or abs(m) * int(limit) > 2**62:
                    return False
            return True

        assert holds(found.shift)
        assert found.shift == 31 or not holds(found.shift + 1)
        exact = np.stack([wide_bound, -wide_bound, wide_bound // 3]) * multipliers + bias
        acc = np.stack([wide_bound, -wide_bound, wide_bound // 3])
        got = q.requantize(acc, found, -(2**15), 2**15 - 1)
        assert (np.abs(got - np.clip(np.rint(exact), -(2**15), 2**15 - 1)) <= 1).all()

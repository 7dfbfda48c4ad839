"""Calibration against onnxruntime's calibrators, and what makes it a streaming one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import calibrate as reference

from ternc.calibrate import METHODS, Method, calibrate, rounded
from ternc.diagnostics import CompileError
from ternc.feeds import input_specs, samples
from ternc.histogram import Histogram, mse_range, percentile_range

Feed = Mapping[str, npt.NDArray[np.generic]]
TENSORS = ("x", "h", "r", "y")


def model() -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    built = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[1, 16] x) => (float[1, 8] y)
        { h = Gemm(x, w1)  r = Relu(h)  y = Gemm(r, w2) }""")
    for name, shape in (("w1", (16, 32)), ("w2", (32, 8))):
        weights = generator.standard_normal(shape).astype(np.float32)
        built.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return built


def feeds(count: int, seed: int = 1) -> list[Feed]:
    generator = np.random.default_rng(seed)
    return [
        {"x": generator.standard_normal((1, 16)).astype(np.float32)} for _ in range(count)
    ]


class Reader(reference.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, data: list[Feed]) -> None:
        self.data = iter(data)

    def get_next(self) -> Feed | None:
        return next(self.data, None)


def theirs(
    calibrator: type, path: Path, data: list[Feed], **options: object
) -> dict[str, tuple[float, float]]:
    onnx.save(model(), path / "model.onnx")
    made = calibrator(path / "model.onnx", augmented_model_path=str(path / "augmented.onnx"),
                      **options)
    made.augment_graph()
    made.create_inference_session()
    made.collect_data(Reader(data))
    found = made.compute_data()
    ends = {name: found[name].range_value for name in TENSORS}
    return {name: (np.asarray(low).item(), np.asarray(high).item())
            for name, (low, high) in ends.items()}


def test_minmax_is_onnxruntimes(tmp_path: Path) -> None:
    data = feeds(100)
    ours = calibrate(model(), data, TENSORS)
    assert ours.samples == 100
    assert list(ours) == list(TENSORS)
    for name, ends in theirs(reference.MinMaxCalibrater, tmp_path, data).items():
        # 2^-16 relative is what rounding costs.
        np.testing.assert_allclose(ours[name], ends, rtol=2**-16, err_msg=name)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_is_onnxruntimes(
    tmp_path: Path, percentile: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = feeds(301)  # so that no cut falls exactly between two values
    ours = calibrate(model(), data, TENSORS, "percentile", percentile=percentile)
    their = theirs(reference.PercentileCalibrater, tmp_path, data, percentile=percentile)
    capsys.readouterr()
    full = calibrate(model(), data, TENSORS)
    for name, ends in their.items():
        # Two bins of the coarser histogram, onnxruntime's 2048 over [-max|x|, max|x|].
        bins = 2 * 2 * max(map(abs, full[name])) / 2048
        np.testing.assert_allclose(ours[name], ends, atol=bins, err_msg=name)


def heavy_tailed(count: int) -> list[Feed]:
    generator = np.random.default_rng(3)
    return [
        {"x": generator.standard_t(3, (1, 16)).astype(np.float32)} for _ in range(count)
    ]


def test_entropy_is_near_onnxruntimes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = heavy_tailed(300)
    ours = calibrate(model(), data, TENSORS, "entropy", bits=7)
    their = theirs(
        reference.EntropyCalibrater, tmp_path, data, num_bins=2048, num_quantized_bins=128
    )
    capsys.readouterr()
    full = calibrate(model(), data, TENSORS)
    for name in ("x", "h", "y"):
        # Different smoothing and candidates; the divergence is flat around its minimum. Widths
        # must agree within a factor of two, and both must clip the tails or both must not.
        width, other = (ends[1] - ends[0] for ends in (ours[name], their[name]))
        whole = full[name][1] - full[name][0]
        assert 0.5 < width / other < 2, (name, ours[name], their[name], full[name])
        assert width <= whole * 1.0001
    assert ours["r"][0] == 0


@pytest.mark.parametrize("method", METHODS)
def test_any_order_gives_the_same(method: Method) -> None:
    data = heavy_tailed(60)
    forward = calibrate(model(), data, TENSORS, method)
    assert dict(forward) == dict(calibrate(model(), data[::-1], TENSORS, method))


def test_mse_finds_the_best_of_a_grid() -> None:
    values = np.append(np.random.default_rng(0).standard_normal(300_000), 20.0)
    histogram = Histogram()
    histogram.add(values)

    def loss(low: float, high: float) -> float:
        step = (high - low) / 255
        zero = np.rint(-low / step)
        codes = np.clip(np.rint(values / step) + zero, 0, 255)
        return float((((codes - zero) * step - values) ** 2).mean())

    found = loss(*mse_range(histogram, 8))
    smallest = float(values.min())
    grid = [loss(smallest * a, 20.0 * b) for a in (0.85, 1.0) for b in np.linspace(0.2, 1, 20)]
    assert found <= min(grid) * 1.01
    assert found < 0.8 * loss(smallest, 20.0)


class TestHistogram:
    @given(st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), min_size=1, max_size=8
    ))
    @settings(max_examples=60)
    def test_counts_and_order(self, parts: list[list[float]]) -> None:
        forward, backward = Histogram(), Histogram()
        for part in parts:
            forward.add(np.array(part))
        for part in reversed(parts):
            backward.add(np.array(part))
        values = np.concatenate([np.array(part) for part in parts])
        assert forward.counts.sum() == values.size
        assert forward.counts.size <= 8192
        assert forward.exponent == backward.exponent
        assert forward.first == backward.first
        np.testing.assert_array_equal(forward.counts, backward.counts)
        np.testing.assert_array_equal(
            forward.counts, np.histogram(values, forward.edges)[0]
            if (values != forward.edges[-1]).all() else forward.counts
        )

    def test_memory_does_not_grow(self) -> None:
        histogram = Histogram()
        for power in range(-30, 31):
            histogram.add(np.linspace(-(2.0**power), 2.0**power, 999))
            assert histogram.counts.size <= 8192
        assert histogram.counts.sum() == 61 * 999

    def test_percentile_needs_a_percentage(self) -> None:
        histogram = Histogram()
        histogram.add(np.arange(10.0))
        np.testing.assert_allclose(percentile_range(histogram, 100), (0, 9), atol=0.01)
        with pytest.raises(ValueError, match="0 and 100"):
            percentile_range(histogram, 0)


def test_ranges_are_rounded() -> None:
    assert rounded(0.0) == 0.0
    assert rounded(-1.5) == -1.5
    assert rounded(1 + 2**-20) == 1.0
    value = 0.123456789
    assert abs(rounded(value) / value - 1) <= 2**-16
    assert rounded(np.nextafter(value, 1)) == rounded(value)


def test_progress_and_total() -> None:
    built, seen = model(), []
    data = samples(np.zeros((3, 16), np.float32), input_specs(built))
    calibrate(built, data, ["x"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_no_samples() -> None:
    with pytest.raises(CompileError, match="no samples"):
        calibrate(model(), [], TENSORS)


LOG = """
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[4] x) => (float[4] y) { l = Log(x)  y = Identity(l) }"""


@pytest.mark.parametrize("method", METHODS)
def test_infinite_values_do_not_count(method: Method) -> None:
    feed = {"x": np.array([0.0, 1.0, np.e, 0.5], np.float32)}
    low, high = calibrate(onnx.parser.parse_model(LOG), [feed], ["l"], method)["l"]
    assert -0.7 < low < 0
    assert 0.5 < high <= 1.01


def test_not_a_number_is_an_error() -> None:
    feed = {"x": np.array([-1.0, 1.0, 2.0, 3.0], np.float32)}
    with pytest.raises(CompileError, match="tensor 'l' is not a number for sample 0"):
        calibrate(onnx.parser.parse_model(LOG), [feed], ["l"])


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros(method: Method) -> None:
    found = calibrate(model(), [{"x": np.zeros((1, 16), np.float32)}], TENSORS, method)
    assert all(found[name] == (0, 0) for name in TENSORS)


def test_memory_does_not_grow_with_the_samples() -> None:
    """The samples of an iterator are let go as they are read, to the last one."""
    import gc
    import tracemalloc

    import ternc

    def held(count: int) -> int:
        """Bytes alive when the last sample is asked for."""
        found = 0

        def source() -> Iterator[npt.NDArray[np.float32]]:
            nonlocal found
            for index in range(count):
                if index == count - 1:
                    gc.collect()
                    found = tracemalloc.get_traced_memory()[0]
                yield np.full((1, 16), 1 + index % 7, np.float32)

        tracemalloc.start()
        ternc.compile(model(), "host", calibration_data=source(), calibration_method="mse")
        tracemalloc.stop()
        assert found
        return found

    held(8)  # imports
    assert held(3000) < held(32) + 50_000  # 3,000 samples would take 192,000 bytes and more


def test_blank_data_gives_no_range() -> None:
    import ternc

    with pytest.raises(CompileError, match="0 throughout"):
        ternc.compile(model(), "host", calibration_data=np.zeros((8, 16), np.float32))

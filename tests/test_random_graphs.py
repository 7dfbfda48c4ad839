"""Random graphs through the whole path, against onnxruntime, in both activation modes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings

from ternc import compiler as ternc
from ternc.feeds import input_specs, random_feeds
from ternc.oracle import Oracle
from tests.graphs import graphs

pytest.importorskip("ternc._engine", reason="the C runtime is not built: pip install -e .")
SETTINGS = settings(deadline=None, max_examples=150, derandomize=True,
                    suppress_health_check=list(HealthCheck))


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """design.md's float32 measure."""
    return float(
        np.abs(got - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-6)
    )


def well_conditioned(oracle: Oracle, feed: dict[str, np.ndarray]) -> bool:
    """Whether a float32 rounding error in the input stays one in the output."""
    nudged = {n: np.nextafter(a, np.inf, dtype=a.dtype) for n, a in feed.items()}
    first, second = oracle.run(feed), oracle.run(nudged)
    return all(relative_error(second[n], first[n]) < 2e-6 for n in first
               if first[n].dtype == np.float32)


@SETTINGS
@given(graphs())
def test_float32(model: onnx.ModelProto) -> None:
    """The compiled program agrees with onnxruntime to 1e-5 of each output's largest value."""
    oracle = Oracle(model)
    feed = next(iter(random_feeds(input_specs(model), 1, seed=1)))
    expected = oracle.run(feed)
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e6 for v in expected.values()))
    assume(well_conditioned(oracle, feed))
    compiled = ternc.compile(model, target="host", check_fit=False)
    got = compiled.run(feed)
    for name, value in expected.items():
        assert got[name].shape == value.shape
        if value.dtype == np.float32:
            assert relative_error(got[name], value) <= 1e-5, name


@SETTINGS
@given(graphs(max_nodes=4))
def test_int8_layers(model: onnx.ModelProto) -> None:
    """Every layer of the calibrated program gives onnxruntime's integers within 1."""
    from ternc.layerwise import check_layers

    feeds = list(random_feeds(input_specs(model), 4, seed=2))
    ranges = [v for feed in feeds for v in Oracle(model).run(feed).values()]
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in ranges))
    compiled = ternc.compile(model, target="host", calibration_data=feeds, check_fit=False)
    for result in check_layers(compiled.model, feeds[:2]):
        assert result.worst <= 1, result


@SETTINGS
@given(graphs(max_nodes=4))
def test_unfused_equals_fused(model: onnx.ModelProto) -> None:
    """Keeping every tensor changes no float result beyond rounding."""
    feed = next(iter(random_feeds(input_specs(model), 1, seed=3)))
    expected = Oracle(model).run(feed)
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e6 for v in expected.values()))
    fused = ternc.compile(model, target="host", check_fit=False).run(feed)
    kept = ternc.compile(model, target="host", check_fit=False, fuse=False).run(feed)
    for name, value in expected.items():
        if value.dtype == np.float32:
            assert np.allclose(fused[name], kept[name], rtol=1e-5, atol=1e-6), name

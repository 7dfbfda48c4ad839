"""Random graphs give the host's bytes on the emulated core, in float32 and in int8."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings

from ternc import compiler
from ternc.emulation import emulate, host_bytes
from ternc.feeds import input_specs, random_feeds
from ternc.oracle import Oracle
from tests.emulation.tools import needs_emulator
from tests.graphs import graphs

SETTINGS = settings(deadline=None, max_examples=15, derandomize=True,
                    suppress_health_check=list(HealthCheck))


@needs_emulator
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
@SETTINGS
@given(model=graphs(max_nodes=5))
def test_same_bytes(precision: str, model: onnx.ModelProto) -> None:
    feeds = list(random_feeds(input_specs(model), 3, seed=4))
    values = [v for feed in feeds for v in Oracle(model).run(feed).values()]
    assume(all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in values))
    compiled = compiler.compile(model, "esp32c3", check_fit=False,
                                calibration_data=feeds if precision == "int8" else None)
    assert emulate(compiled, feeds).outputs == host_bytes(compiled, feeds)

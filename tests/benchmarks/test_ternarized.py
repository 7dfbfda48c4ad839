"""Whole models with ternary weights: all of their limits hold at once."""

from __future__ import annotations

import pytest

from tests.benchmarks import emulate
from tests.benchmarks.machine_sounds import sounds
from tests.benchmarks.ternarized import CASES, measured
from tests.shared_models import needs_data, needs_models


@pytest.mark.slow
@needs_models
@needs_data
@pytest.mark.skipif(bool(emulate.missing_tools()), reason=emulate.missing_tools() or "-")
@pytest.mark.parametrize("level", ["size", "default"])
@pytest.mark.parametrize("name", CASES)
def test_limits_hold_at_once(name: str, level: str) -> None:
    found, limits = measured(CASES[name], level), CASES[name].limits(level)
    assert all(figure <= limit for figure, limit in zip(found, limits, strict=True)), found


@needs_data
def test_sounds_are_in_the_range_that_the_autoencoder_sees() -> None:
    features = sounds(16)
    assert features.shape == (16, 640)
    assert features.min() >= -79
    assert -10 < features.max() <= 14
    assert features.std() > 10

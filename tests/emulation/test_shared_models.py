"""Every model of other people answers on the emulated ESP32-C3 as on the host and as it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.emulated import LIMIT, measure, variants
from tests.emulation.tools import needs_emulator
from tests.shared_models import model_id, needs_models, paths

BIG = 1_000_000  # float multiply-accumulates from which one sample is enough


@needs_emulator
@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("path", paths(), ids=model_id)
def test_emulated(path: Path) -> None:
    precisions = set()
    for precision, compiled, samples in variants(path):
        precisions.add(precision)
        macs = sum(item.macs for item in compiled.program.instructions)
        count = 1 if precision == "float32" and macs > BIG else len(samples)
        row = measure(model_id(path), precision, compiled, samples[:count])
        assert row.same_bytes, precision
        assert row.error is None or row.error <= LIMIT
        assert row.found.macs == macs
    assert "int8" in precisions

"""The keyword model with 256 calibration samples compiles in under a minute on two cores."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import ternc
from tests.shared_models import MODELS

KEYWORDS = MODELS / "mlperf_tiny_kws_ref_model_float32.onnx"


@pytest.mark.slow
@pytest.mark.skipif(not KEYWORDS.exists(), reason="needs ../shared/models")
@pytest.mark.parametrize(
    "options", [{}, {"calibration_method": "entropy"}, {"ternarize": True}, {"max_drop": 1.0}],
    ids=["int8", "entropy", "ternary", "mixed"])
def test_keyword_model(options: dict[str, Any]) -> None:
    """Of processor time: a minute on one core is less than a minute on two."""
    generator = np.random.default_rng(0)
    data = np.cumsum(generator.standard_normal((256, 49, 10, 1)), axis=1).astype(np.float32)
    begin = time.process_time()
    compiled = ternc.compile(KEYWORDS, "esp32c3", calibration_data=data, **options)
    assert time.process_time() - begin < 60
    assert compiled.flash_bytes < 31_000

"""The example with Keras runs, and learns within a few epochs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("digits_keras.py")
ROOT = EXAMPLE.parents[2]


@pytest.mark.parametrize(("network", "layer", "least"), [
    ("convolutions", "pointwise2: ternary (TernaryConv2D)", 80),
    ("gru", "cells: ternary (TernaryGRU)", 60),
    ("lstm", "cells: ternary (TernaryLSTM)", 60),
])
def test_short_run(network: str, layer: str, least: float, tmp_path: Path) -> None:
    for package in ("keras", "tensorflow", "tf2onnx", "sklearn"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package} (pip install 'ternc[keras]' tensorflow scikit-learn)")
    header = tmp_path / "digits.h"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--network", network, "--epochs", "5", "--seeds", "1",
         "--out", str(header)],
        cwd=ROOT, env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1",
                       "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert layer in done.stdout
    found = dict(re.findall(r"^([\w ,]+): ([\d.]+) \(", done.stdout, re.MULTILINE))
    assert float(found["ternary, from the float network"]) > least
    assert found["ternary"] == found["compiled program"]
    assert header.stat().st_size > 10_000

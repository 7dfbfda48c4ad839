"""The MNIST example runs, on a small part of the data."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("mnist_torch.py")
ROOT = EXAMPLE.parents[2]
# what pytest can import, the scripts can
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PATH": ""}
DATA = ROOT.parent / "shared" / "data" / "mnist" / "mnist.npz"


def test_short_run(tmp_path: Path) -> None:
    if find_spec("torch") is None:
        pytest.skip("needs PyTorch (pip install 'ternc[torch]')")
    if not DATA.exists():
        pytest.skip(f"needs MNIST at {DATA}")
    header = tmp_path / "digits.h"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--data", str(DATA), "--samples", "2000", "--epochs", "1",
         "--test-samples", "1000", "--out", str(header)],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr
    assert "conv2: ternary (TernaryConv2d)" in done.stdout
    assert header.stat().st_size > 10_000

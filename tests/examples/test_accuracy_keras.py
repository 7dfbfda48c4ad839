"""The Keras networks train for an epoch on a few samples, and end in a header and a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
FILES = {
    "exercises": "exercises.npz", "fsdd": "fsdd.npz", "fsdd-gru": "fsdd.npz",
    "cifar10": "cifar10_jpeg.npz", "mnist-vit": "mnist.npz",
}
ALL = ("float", "ternary", "tuned", "tuned-distilled")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.examples.accuracy_keras", *arguments], cwd=ROOT,
        capture_output=True, text=True, check=False,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1",
             "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])})


def setup_module() -> None:
    for package in ("keras", "tensorflow", "tf2onnx"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package} (pip install 'ternc[keras]' tensorflow)",
                        allow_module_level=True)


@pytest.mark.parametrize("task", FILES)
def test_short_run(task: str, tmp_path: Path) -> None:
    if not list(DATA.glob(f"*/{FILES[task]}")):
        pytest.skip(f"needs {FILES[task]} in a folder of {DATA}")
    if task == "cifar10" and find_spec("PIL") is None:
        pytest.skip("needs Pillow to decode JPEG files")
    variants = ALL if task == "exercises" else ("ternary",)
    done = run(task, "--data", str(DATA), "--out", str(tmp_path), "--epochs", "1", "--samples",
               "128", "--test-samples", "20", "--seeds", "1", "--variants", *variants)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["variant"] for row in rows] == list(variants)
    for row in rows:
        header = Path(row["header"]).read_text()
        assert "network_run(" in header
        assert abs(row["program_accuracy"] - row["accuracy"]) <= 0.2
        if row["variant"] != "float":
            assert row["weights"]["ternary"] > 5 * row["weights"]["int8"]
        else:
            assert not row["weights"]["ternary"]


def test_missing_data(tmp_path: Path) -> None:
    done = run("fsdd", "--data", str(tmp_path), "--out", str(tmp_path))
    assert done.returncode == 1
    assert "fsdd.npz is not in" in done.stderr

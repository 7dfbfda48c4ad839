"""The Keras networks train for an epoch on a few samples, and end in headers and reports."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.table import lines, rows

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


def short(task: str, out: Path) -> list[str]:
    """Arguments for an epoch on a few samples, or a skip."""
    if not list(DATA.glob(f"*/{FILES[task]}")):
        pytest.skip(f"needs {FILES[task]} in a folder of {DATA}")
    if task == "cifar10" and find_spec("PIL") is None:
        pytest.skip("needs Pillow to decode JPEG files")
    return [task, "--data", str(DATA), "--out", str(out), "--epochs", "1", "--samples", "128",
            "--test-samples", "20", "--seeds", "1", "--variants"]


@pytest.mark.parametrize("task", FILES)
def test_short_run(task: str, tmp_path: Path) -> None:
    variants = ALL if task == "exercises" else ("ternary",)
    done = run("both", *short(task, tmp_path), *variants)
    assert done.returncode == 0, done.stderr
    trained = lines(tmp_path / f"{task}-keras.jsonl")
    programs = lines(tmp_path / f"{task}-keras-programs.jsonl")
    assert [row["variant"] for row in trained] == list(variants)
    assert [row["variant"] for row in programs] == list(variants)
    for row, program in zip(trained, programs, strict=True):
        assert "network_run(" in Path(program["header"]).read_text()
        assert abs(program["program_accuracy"] - row["accuracy"]) <= 0.2
        weights = program["weights"]
        if row["variant"] != "float":
            assert weights["ternary"]["count"] > 5 * weights["int8"]["count"]
        else:
            assert not weights["ternary"]["count"]
    assert len(rows(tmp_path)) == len(variants)


@pytest.mark.parametrize("task", ["exercises", "cifar10"])
def test_the_same_layers_are_ternary_after_training(task: str, tmp_path: Path) -> None:
    few = short(task, tmp_path)
    assert run("train", *few, "float", "ternary").returncode == 0
    done = run("compile", *few, "float", "ternary", "--post-training")
    assert done.returncode == 0, done.stderr
    programs = lines(tmp_path / f"{task}-keras-programs.jsonl")
    assert [row["ternarized"] for row in programs] == [False, True, False]
    assert programs[1]["weights"]["ternary"]["count"] == (
        programs[2]["weights"]["ternary"]["count"])
    assert len(rows(tmp_path)) == 3


def test_fine_tuning_begins_with_the_float_network(tmp_path: Path) -> None:
    early = run("train", *short("exercises", tmp_path), "tuned")
    assert early.returncode == 1
    assert "float of seed 0 has to be trained before tuned" in early.stderr
    for variant in ("float", "tuned"):
        assert run("train", *short("exercises", tmp_path), variant).returncode == 0
    assert [row["variant"] for row in lines(tmp_path / "exercises-keras.jsonl")] == [
        "float", "tuned"]


def test_missing_data(tmp_path: Path) -> None:
    done = run("train", "fsdd", "--data", str(tmp_path), "--out", str(tmp_path))
    assert done.returncode == 1
    assert "fsdd.npz is not in" in done.stderr

"""The accuracy scripts run: each task trains for an epoch on a few samples and is compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.table import rows

SCRIPT = ("-m", "tests.examples.accuracy")
ROOT = Path(__file__).parents[2]
# what pytest can import, the scripts can
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PATH": ""}
DATA = ROOT.parent / "shared" / "data"
FILES = {
    "mnist": "mnist.npz", "cifar10": "cifar10_jpeg.npz", "fsdd": "fsdd.npz",
    "exercises": "exercises.npz", "basicmotions": "BasicMotions.npz",
    "ecgfivedays": "ECGFiveDays.npz", "mnist-vit": "mnist.npz", "fsdd-gru": "fsdd.npz",
    "cifar10-vit": "cifar10_jpeg.npz", "exercises-small": "exercises.npz",
    "basicmotions-lstm": "BasicMotions.npz", "ecgfivedays-lstm": "ECGFiveDays.npz",
}


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True,
        env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def setup_module() -> None:
    if find_spec("torch") is None:
        pytest.skip("needs PyTorch (pip install 'ternc[torch]')", allow_module_level=True)


@pytest.mark.parametrize("task", sorted(FILES))
def test_short_run(task: str, tmp_path: Path) -> None:
    if not list(DATA.glob(f"*/{FILES[task]}")):
        pytest.skip(f"needs {FILES[task]} in a folder of {DATA}")
    if task.startswith("cifar10") and find_spec("PIL") is None:
        pytest.skip("needs Pillow to decode JPEG files")
    places = [task, "--data", str(DATA), "--out", str(tmp_path), "--test-samples", "20"]
    some = ["--variants", "float,ternary,tuned-distilled"] if task == "cifar10" else []
    run("train", *places, *some, "--epochs", "1", "--samples", "64", "--batch", "16",
        "--seeds", "1", "--device", "cpu")
    trained = [json.loads(line) for line in (tmp_path / f"{task}.jsonl").read_text().splitlines()]
    assert {row["variant"] for row in trained} >= {"float", "ternary"}
    assert all(row["split"] == "test" and row["epochs"] == 1 for row in trained)
    run("compile", *places, "--variants", "ternary")
    (program,) = [json.loads(line)
                  for line in (tmp_path / f"{task}-programs.jsonl").read_text().splitlines()]
    most = 2 if task.endswith("-small") else 5  # first and last layers are int8
    assert program["weights"]["ternary"]["count"] > most * program["weights"]["int8"]["count"]
    assert "network_run(" in Path(program["header"]).read_text()
    (ternary,) = [row for row in trained if row["variant"] == "ternary"]
    assert abs(program["program_accuracy"] - ternary["accuracy"]) <= 0.2


def test_choices_are_compiled_in_folds_too(tmp_path: Path) -> None:
    if not list(DATA.glob("*/BasicMotions.npz")):
        pytest.skip(f"needs BasicMotions.npz in a folder of {DATA}")
    places = ["basicmotions", "--data", str(DATA), "--out", str(tmp_path), "--trial",
              "--folds", "2", "--variants", "float"]
    run("train", *places, "--epochs", "1", "--seeds", "1", "--device", "cpu")
    run("compile", *places, "--post-training")
    programs = [json.loads(line) for line in
                (tmp_path / "basicmotions-trial-programs.jsonl").read_text().splitlines()]
    assert [(row["split"], row["ternarized"]) for row in programs] == [
        ("fold 0", False), ("fold 0", True), ("fold 1", False), ("fold 1", True)]
    # what was measured on training samples is not for the table
    assert rows(tmp_path) == []


def test_unknown_variant(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *SCRIPT, "train", "mnist", "--data", str(tmp_path), "--out",
         str(tmp_path), "--variants", "binary"],
        cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT,
        check=False)
    assert done.returncode == 1
    assert "binary" in done.stderr

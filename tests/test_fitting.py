"""What would make a model fit: computed by compiling, and true when it is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ternc
from ternc.cli import main
from ternc.diagnostics import Diagnostic, DoesNotFit
from ternc.fitting import SHOWN, Change, changes_that_fit, with_changes
from tests.making import MODELS, dense, saved

SHAPES = MODELS / "shapes_cnn.onnx"
DATA = MODELS / "shapes.npz"


def found(**options: Any) -> list[Change]:
    given = {"target": "esp32c3", "ram": None, "flash": None, **options}
    compiled = ternc.compile(SHAPES, check_fit=False, **given)
    return changes_that_fit(SHAPES, compiled, given)


def test_int8_makes_it_fit() -> None:
    changes = found(ram=24 * 1024)
    assert 0 < len(changes) <= SHOWN
    (int8,) = [change for change in changes if "(int8)" in change.words]
    compiled = ternc.compile(SHAPES, "esp32c3", calibration_data=DATA, ram=24 * 1024)
    assert compiled.plan.arena_bytes == int8.arena_bytes <= 24 * 1024
    # Other ranges may make another table, or one less.
    assert abs(compiled.flash_bytes - int8.flash_bytes) < 1024


@pytest.mark.slow
def test_every_change_fits() -> None:
    limits: tuple[dict[str, int], ...] = (
        {"ram": 20_000}, {"flash": 6_000}, {"ram": 12_000, "flash": 8_000})
    for limit in limits:
        for change in found(**limit):
            assert change.arena_bytes <= limit.get("ram", 1 << 30)
            assert change.flash_bytes <= limit.get("flash", 1 << 30)


def test_size_is_the_cheapest() -> None:
    options: dict[str, Any] = {"target": "esp32c3", "calibration_data": DATA, "flash": None,
                               "optimize": "speed"}
    large = ternc.compile(SHAPES, **options, check_fit=False)
    small = ternc.compile(SHAPES, **{**options, "optimize": "size"}, check_fit=False)
    room = (large.plan.arena_bytes + small.plan.arena_bytes) // 2
    changes = changes_that_fit(SHAPES, large, {**options, "ram": room})
    assert small.plan.arena_bytes < room < large.plan.arena_bytes
    assert changes[0].words == "-O size"
    assert changes[0].arena_bytes <= room


def test_a_part_that_is_enough_is_not_listed_with_more() -> None:
    words = [change.words for change in found(ram=25_000)]
    int8 = "--calibration samples.npz (int8)"
    assert int8 in words
    assert not [text for text in words if int8 in text and text != int8]


def test_ternary_weights_where_flash_is_short() -> None:
    model = dense(inputs=512, outputs=256)
    options: dict[str, Any] = {"target": "esp32c3", "ram": None, "flash": 100_000}
    compiled = ternc.compile(model, check_fit=False, **options)
    words = [change.words for change in changes_that_fit(model, compiled, options)]
    assert words == ["--ternarize"]  # int8 is 131,072 bytes


def test_nothing_makes_it_fit() -> None:
    assert found(ram=512) == []


@pytest.mark.slow
def test_other_hardware() -> None:
    """Where the user set no limit: external RAM, and the smallest chip that has the room."""
    model = dense(inputs=8, outputs=60_000)  # 240 KB of outputs
    options: dict[str, Any] = {"target": "esp32", "ram": None, "flash": None, "weights": "float32"}
    compiled = ternc.compile(model, check_fit=False, **options)
    assert compiled.plan.arena_bytes > compiled.target.sram_bytes
    changes = changes_that_fit(model, compiled, options)
    words = " ".join(change.words for change in changes)
    assert "external RAM" in words
    chip = re.search(r"--target (\w+)", words)
    assert chip is not None
    assert ternc.compile(model, chip[1], weights="float32").plan.arena_bytes > 180_000


def test_the_error_says_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "m.h"
    assert main([str(SHAPES), "-o", str(output), "--target", "esp32c3", "--ram", "24K"]) == 3
    text = capsys.readouterr().err
    assert "note: it fits with --calibration samples.npz (int8): arena " in text
    assert not output.exists()
    again = [str(SHAPES), "-o", str(output), "--target", "esp32c3", "--ram", "24K", "-q",
             "--calibration", str(DATA)]
    assert main(again) == 0  # what it said is so


def test_validate_says_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(SHAPES), "--target", "esp32c3", "--ram", "24K", "--samples", "2",
                 "-q"]) == 3
    assert "it fits with --calibration samples.npz (int8)" in capsys.readouterr().out


def test_errors_keep_what_they_said() -> None:
    first = Diagnostic("TC0402", "arena", notes=("peak",))
    error = with_changes(DoesNotFit((first,)), [])
    assert error.diagnostics[-1].notes == ("peak",)
    assert "no single option" in error.diagnostics[-1].help


def test_it_does_not_fit_without_a_change_either(tmp_path: Path) -> None:
    model = saved(dense(), tmp_path)
    assert main([str(model), "-o", str(tmp_path / "m.h"), "--ram", "8", "-q"]) == 3

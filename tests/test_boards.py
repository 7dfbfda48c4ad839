"""One model on every chip, and the operators as each chip computes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ternc
from ternc.backends.esp32.targets import TARGETS
from ternc.boards import Board, boards
from ternc.cli import main
from ternc.listing import operators
from tests.making import MODELS, dense, saved

CHIPS = [item.name for item in TARGETS if item.name != "host"]
SHAPES = MODELS / "shapes_cnn.onnx"


@pytest.fixture(scope="module")
def floats() -> dict[str, Board]:
    return {board.target: board for board in boards(SHAPES)}


def test_every_chip_is_there(floats: dict[str, Board]) -> None:
    assert list(floats) == CHIPS
    for board in floats.values():
        assert board.fits
        assert board.milliseconds is not None
        assert board.milliseconds > 0
        assert board.basis.startswith("estimate: ")


def test_figures_are_those_of_compile(floats: dict[str, Board]) -> None:
    data = ternc.compile(SHAPES, "esp32c6").report()
    board = floats["esp32c6"]
    assert board.arena_bytes == data["arena_bytes"]
    assert board.flash_bytes == data["flash_bytes"]
    assert board.milliseconds == data["latency_ms"]["value"]
    assert sum(count for _, count in board.arithmetic) == data["layer_count"]


def test_arithmetic(floats: dict[str, Board]) -> None:
    assert dict(floats["esp32c3"].arithmetic).keys() == {"integer", "soft float"}
    assert dict(floats["esp32s3"].arithmetic).keys() == {"integer", "float with FPU"}
    assert "Conv" in floats["esp32c3"].floats
    (board, *_) = boards(SHAPES, calibration_data=MODELS / "shapes.npz")
    assert dict(board.arithmetic).keys() == {"integer"}
    assert board.floats == ()


@pytest.mark.slow
def test_some_fit() -> None:
    found = {board.target: board.fits for board in boards(dense(inputs=8, outputs=60_000))}
    assert not found["esp32"]
    assert found["esp32p4"]


def test_limits_of_the_user() -> None:
    assert not any(board.fits for board in boards(SHAPES, ram=1024))


def test_a_model_that_compiles_for_none() -> None:
    for board in boards(dense(op="RandomNormalLike")):
        assert not board.fits
        assert "RandomNormalLike" in board.refused


def test_emulation_is_asked_of_risc_v() -> None:
    seen: list[Any] = []
    boards(dense(), emulate=seen.append)
    assert [made.target.name for made in seen] == [
        item.name for item in TARGETS if item.isa.startswith("rv32")]


# --- on the command line -------------------------------------------------------------------------


def test_validate_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(SHAPES), "--target", "all", "--samples", "2", "-q"]) == 0
    text = capsys.readouterr().out
    for name in CHIPS:
        assert f"\n{name} " in text
    assert "shapes_cnn.onnx for esp32\n" in text  # the first that it fits
    assert "in float32: Conv" in text


def test_validate_for_all_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(SHAPES), "--target", "ALL", "--samples", "2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [board["target"] for board in data["boards"]] == CHIPS
    assert data["passed"]


def test_validate_for_all_when_none_fits(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["validate", str(SHAPES), "--target", "all", "--ram", "1K", "--samples", "2", "-q"]
    assert main(arguments) == 3
    assert "\nesp32c3  no " in capsys.readouterr().out


def test_validate_for_all_when_it_does_not_compile(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(dense(op="RandomNormalLike"), tmp_path)
    assert main(["validate", str(model), "--target", "all", "-q"]) == 1
    assert "RandomNormalLike" in capsys.readouterr().out


def test_operators_of_a_chip(capsys: pytest.CaptureFixture[str]) -> None:
    plain = {row["operator"]: row for row in operators()}
    for name, floats in (("esp32c3", "soft float"), ("esp32s3", "float with FPU")):
        for row in operators(name):
            known = plain[row["operator"]]
            assert row["float32"] == (floats if known["float32"] == "yes" else "folded")
            if known["int8"] == "no":
                assert row["int8"] == floats
            elif known["int8"] != "folded":
                assert row["int8"] == f"integer: {known['int8']}"
    assert main(["ops", "--target", "ESP32-C3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["float32"] for row in rows} == {"soft float", "folded"}
    assert main(["ops", "--target", "esp99"]) == 2
    assert "[TC0401]" in capsys.readouterr().err

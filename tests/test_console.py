"""Progress on the terminal: late, and never anywhere else."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

import ternc
from ternc import console
from ternc.boards import boards
from tests.making import MODELS, dense


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_work_that_is_soon_done_has_no_bar() -> None:
    file = Terminal()
    with console.progress("working", file, quiet=False) as progress:
        progress(1, 2)
    assert file.getvalue() == ""


@pytest.mark.parametrize("told", [True, False])
def test_a_bar_appears_for_long_work(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "PATIENCE", 0.01)
    file = Terminal()
    with console.progress("working", file, quiet=False) as progress:
        if told:
            progress(1, 4)
        time.sleep(0.6)
        if told:
            progress(3, 4)
    assert "working" in file.getvalue()
    shown = file.getvalue()
    time.sleep(0.2)
    assert file.getvalue() == shown  # it is gone


def test_no_bar_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    for file, quiet in ((io.StringIO(), False), (Terminal(), True)):
        with console.progress("working", file, quiet=quiet) as progress:
            progress(1, 2)
            time.sleep(0.05)
        assert file.getvalue() == ""


def test_a_bar_that_is_stopped_before_it_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.05)
    file = Terminal()
    with console.progress("working", file, quiet=False):
        pass
    time.sleep(0.2)
    assert file.getvalue() == ""


def test_validation_says_how_far_it_is() -> None:
    seen: list[tuple[int, int | None]] = []
    ternc.validate(MODELS / "gesture_cnn_int8.onnx", samples=5,
                   progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, 16))  # end to end, by layer, by tensor
    assert {total for _, total in seen} == {15}


def test_compiling_for_every_chip_says_how_far_it_is() -> None:
    seen: list[Any] = []
    found = boards(dense(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, len(found)) for i in range(len(found))]

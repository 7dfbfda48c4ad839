"""Notes about what was taken for want of data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ternc
from tests.test_calibrate import model

X = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
LABELS = np.arange(64) % 8
MEASURE: dict[str, Any] = {"calibration_data": X, "max_drop": 60.0}

# options, and what the notes say; and the same with the data that was missing: nothing more
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "no data": ({}, "stay float32", {"calibration_data": X}),
    "no data, ternary": ({"ternarize": True}, "scheme optimal", {"calibration_data": X}),
    "no data, no unit": ({"target": "esp32c3"}, "no floating-point unit", {"calibration_data": X}),
    "few samples": ({"calibration_data": X[:5]}, "come from 5 samples", {"calibration_data": X}),
    "no labels": (MEASURE, "dB of output SQNR", {"labels": LABELS}),
    "nothing to measure on": (MEASURE, "every other calibration sample is held out",
                              {"evaluation_data": X}),
}


@pytest.mark.parametrize("case", CASES)
def test_note_says_what_and_what_would_change(case: str) -> None:
    options, text, missing = CASES[case]

    def notes(**options: Any) -> list[ternc.diagnostics.Diagnostic]:
        return [d for d in ternc.compile(model(), **{"target": "esp32", **options}).diagnostics
                if text in d.message]

    (note,) = notes(**options)
    assert note.code in ("TC0204", "TC0205", "TC0211")
    assert note.help
    assert not notes(**{**options, **missing})
    report = ternc.compile(model(), **{"target": "esp32", **options}).report()
    assert note.to_json() in report["diagnostics"]


def test_nothing_to_say_about_what_was_asked_for() -> None:
    for options in ({"weights": "float32"}, {"activations": "float32"}, {"weights": "int8"}):
        compiled = ternc.compile(model(), "esp32", **options)  # type: ignore[arg-type]
        assert not [d for d in compiled.diagnostics if d.code == "TC0211"]

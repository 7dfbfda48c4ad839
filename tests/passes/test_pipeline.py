"""The pipeline is the only registration of a pass."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

import ternc.passes
from ternc.diagnostics import Diagnostics
from ternc.passes import front

# passes that run behind the front, when the options ask for them
AFTER_FRONT = {
    "quantize", "quantize_dynamic", "quantize_weights", "restore_weights", "split_channels",
    "ternarize",
}


def _ours() -> list[ir.passes.PassBase]:
    return [step for step in front(Diagnostics()) if type(step).__module__.startswith("ternc.")]


def test_every_file_is_in_the_pipeline() -> None:
    """A pass file that nobody runs is a mistake."""
    assert ternc.passes.__file__ is not None
    files = {path.stem for path in Path(ternc.passes.__file__).parent.glob("*.py")
             if not path.stem.startswith("_")}
    assert files - AFTER_FRONT == {type(step).__module__.rpartition(".")[2] for step in _ours()}


@pytest.mark.parametrize("step", _ours(), ids=lambda step: type(step).__name__)
def test_pass_is_named_after_its_file_and_documented(step: ir.passes.PassBase) -> None:
    """The name is how reports and `--verify-passes` speak of a pass."""
    assert getattr(step, "name", "") == type(step).__module__.rpartition(".")[2]
    assert type(step).__doc__

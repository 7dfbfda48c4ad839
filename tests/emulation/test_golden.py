"""Released programs give their recorded answers on the emulated core, all operators among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ternc.emulation import emulate_bytes
from ternc.loaded import load
from tests.emulation.tools import needs_emulator
from tests.test_golden_blobs import BLOBS

pytestmark = needs_emulator


@pytest.mark.parametrize("path", BLOBS, ids=lambda path: path.stem)
@pytest.mark.parametrize("target", [
    "esp32c3", pytest.param("esp32p4", marks=pytest.mark.slow)])
def test_recorded_answers(path: Path, target: str) -> None:
    """Each run starts from the same memory; none of these programs keeps state."""
    model = load(path)
    inputs, expected = (path.with_suffix(suffix).read_bytes() for suffix in (".in", ".out"))
    size = sum(port.tensor.nbytes for port in model.runner.inputs)
    samples = [inputs[at : at + size] for at in range(0, len(inputs), size)]
    found = emulate_bytes(model, samples, target)
    assert b"".join(b"".join(outputs) for outputs in found.outputs) == expected

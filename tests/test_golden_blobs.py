"""Programs of every release keep running and give the same bytes: updates by air need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ternc._engine import Model
from tests.golden.add import run

FOLDER = Path(__file__).parent / "golden"
BLOBS = sorted(FOLDER.glob("*.tern"))


@pytest.mark.parametrize("path", BLOBS, ids=lambda path: path.stem)
def test_same_answers(path: Path) -> None:
    """Bit for bit, in float32 too: the host's runtime is built without fused multiply-add."""
    expected = path.with_suffix(".out").read_bytes()
    assert expected
    assert run(path.read_bytes(), path.with_suffix(".in").read_bytes()) == expected


def test_there_are_some() -> None:
    assert len(BLOBS) >= 4
    assert {path.stem for path in FOLDER.glob("*.in")} == {path.stem for path in BLOBS}
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 200_000


@pytest.mark.parametrize("path", BLOBS, ids=lambda path: path.stem)
def test_damage_is_noticed(path: Path) -> None:
    """A byte that changed on the way is a status, not an answer."""
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        Model(bytes(blob))

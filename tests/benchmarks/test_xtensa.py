"""The kernels give the host's bytes on an emulated Xtensa core too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import xtensa


@pytest.mark.slow
@pytest.mark.skipif(bool(xtensa.missing_tools()), reason=xtensa.missing_tools() or "-")
def test_layers_on_xtensa(tmp_path: Path) -> None:
    """`rows` compares every output; a look-up costs little more than on RISC-V."""
    rows = {row.name: row for row in xtensa.rows(tmp_path)}
    assert len(rows) >= 10
    assert rows["Dense 1000->1000"].per_mac < 1.25

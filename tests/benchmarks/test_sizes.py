"""Layers of growing size: what a multiply-accumulate costs has no cliff."""

from __future__ import annotations

import pytest

from tests.benchmarks import emulate, sizes
from tests.benchmarks.layers import Layer


@pytest.mark.slow
@pytest.mark.skipif(bool(emulate.missing_tools()), reason=emulate.missing_tools() or "-")
@pytest.mark.parametrize("family", sizes.layers(), ids=lambda family: family[0].name.split()[0])
def test_there_is_no_cliff(family: list[Layer]) -> None:
    assert sizes.cliffs(sizes.rows(family)) == []


def test_a_cliff_is_named() -> None:
    def row(name: str, per_mac: float) -> sizes.Row:
        return sizes.Row(name, "dense", per_mac, 0)

    assert sizes.cliffs([row("a", 0.5), row("b", 0.59), row("c", 0.4)]) == []
    (problem,) = sizes.cliffs([row("a", 0.5), row("b", 0.4), row("c", 0.49)])
    assert problem.startswith("c: 0.49")

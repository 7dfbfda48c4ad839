"""The estimates of instructions agree with what is counted."""

from __future__ import annotations

import pytest

from tests.benchmarks import emulate, estimates


@pytest.mark.slow
@pytest.mark.skipif(bool(emulate.missing_tools()), reason=emulate.missing_tools() or "-")
@pytest.mark.parametrize("networks", [False, True], ids=["layers", "networks"])
def test_estimates_are_near(networks: bool) -> None:
    found = [*(estimates.network_layers("size", "default") if networks
               else estimates.single_layers())]
    if not found:
        pytest.skip("needs the models of ../shared")
    assert [row for row in found if row.is_off] == []


def test_a_far_estimate_is_one() -> None:
    assert estimates.Row("m", "l", "k", 120, 100, 0.01).is_off
    assert estimates.Row("m", "l", "k", 80, 100, 0.01).is_off
    assert not estimates.Row("m", "l", "k", 114, 100, 0.01).is_off
    assert not estimates.Row("m", "l", "k", 200, 100, 0.001).is_off

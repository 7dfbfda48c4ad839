"""The estimate of a program's time, for chips that are not emulated."""

from __future__ import annotations

import pytest

from ternc.backends.esp32 import cost
from ternc.backends.esp32.isa import BY_NAME
from ternc.backends.esp32.targets import target_named
from tests.programs import dense


def test_factors_are_of_instructions_that_exist() -> None:
    assert set(cost.XTENSA) <= set(BY_NAME)
    # Below 1: look-up by five, whose address the core forms in one instruction.
    assert [n for n, factor in cost.XTENSA.items() if factor < 1] == [
        "dense_i8_t2_lut5", "dense_i8_t2_lut5_short"]


@pytest.mark.parametrize("target", ["esp32", "esp32s2", "esp32s3"])
def test_xtensa_takes_more_instructions_and_says_so(target: str) -> None:
    program = dense()
    here = cost.estimate(program, target_named(target))
    there = cost.estimate(program, target_named("esp32c3"))
    assert all(a >= b for a, b in zip(here.instructions, there.instructions, strict=True))
    assert sum(here.instructions) > sum(there.instructions)
    assert "upper bound" in here.basis
    assert here.basis.startswith("estimate")
    assert "upper bound" not in there.basis

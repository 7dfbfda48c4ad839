"""Every access is to a multiple of its size: some cores trap on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ternc.emulation import memory, unicorn_core
from ternc.emulation.cycles import MODELS
from ternc.emulation.elf import read_elf
from ternc.emulation.program import START, DeviceProgram, of_compiled, of_loaded
from ternc.emulation.toolchain import builder_for
from ternc.loaded import load
from tests.emulation.tools import GCC, gesture, needs_emulator, needs_gcc
from tests.test_golden_blobs import BLOBS

pytestmark = needs_emulator


def unaligned(program: DeviceProgram, samples: tuple[bytes, ...], cc: str | None) -> int:
    image = read_elf(builder_for(cc).build(program, "rv32imc"))
    exchange = memory.Exchange(samples, sum(program.output_bytes), len(program.layers))
    found = unicorn_core.run(image, program, exchange, limit=10**9, alignment=True,
                             cache=MODELS["esp32c3"].cache)
    assert found.answer.status == 0
    assert found.answer.done == len(samples)
    assert found.unaligned is not None
    return found.unaligned


@pytest.mark.parametrize("path", BLOBS, ids=lambda path: path.stem)
@pytest.mark.parametrize("cc", [None, pytest.param(GCC, marks=[needs_gcc, pytest.mark.slow])])
def test_released_programs(path: Path, cc: str | None) -> None:
    """All operators are among them."""
    program = of_loaded(load(path))
    inputs = path.with_suffix(".in").read_bytes()
    assert unaligned(program, (inputs[: sum(program.input_bytes)],), cc) == 0


def test_generated_code() -> None:
    program = of_compiled(gesture("int8", "speed"))
    assert unaligned(program, (bytes(sum(program.input_bytes)),), None) == 0


def test_an_unaligned_access_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    old = "  li a0, 0\n"
    assert START.count(old) == 1
    new = f"  li a0, {memory.STACK + 2:#x}\n  lw t0, 0(a0)\n  lh t0, 0(a0)\n  lh t0, 1(a0)\n{old}"
    monkeypatch.setattr("ternc.emulation.toolchain.START", START.replace(old, new))
    program = of_compiled(gesture("int8"))
    calls = len(program.layers) + 1
    assert unaligned(program, (bytes(sum(program.input_bytes)),), None) == 2 * calls

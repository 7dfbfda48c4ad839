"""unicorn and QEMU give the same answer and, for the same binary, the same counts."""

from __future__ import annotations

import numpy as np
import pytest

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.emulation import memory, qemu_core, unicorn_core
from ternc.emulation.cycles import MODELS as CYCLES
from ternc.emulation.elf import read_elf
from ternc.emulation.program import of_compiled
from ternc.emulation.toolchain import builder_for
from tests.emulation.tools import GCC, gesture, needs_emulator, needs_gcc, needs_qemu
from tests.making import MODELS

pytestmark = [needs_emulator, needs_qemu]


def models() -> dict[str, CompiledModel]:
    return {
        "int8": gesture("int8"), "float32": gesture("float32"),
        "speed": gesture("int8", "speed"),  # long blocks without a branch
        "lstm": compiler.compile(MODELS / "sequence_lstm.onnx", "esp32c3"),
    }


@pytest.mark.parametrize("isa", [
    "rv32imc", *(pytest.param(isa, marks=pytest.mark.slow) for isa in ("rv32imac", "rv32imafc"))])
@pytest.mark.parametrize("cc", [None, pytest.param(GCC, marks=[needs_gcc, pytest.mark.slow])])
@pytest.mark.parametrize("name", ["int8", "float32", "speed", "lstm"])
def test_same_counts(name: str, cc: str | None, isa: str) -> None:
    model = models()[name]
    program = of_compiled(model)
    elf = builder_for(cc).build(program, isa)
    image = read_elf(elf)
    rng = np.random.default_rng(0)
    samples = tuple(
        b"".join(rng.standard_normal(port.shape).astype(np.float32).tobytes()
                 if port.tensor.dtype.size == 4 else rng.bytes(port.tensor.nbytes)
                 for port in model.program.inputs) for _ in range(2))
    exchange = memory.Exchange(samples, sum(program.output_bytes), len(program.layers))
    ours = unicorn_core.run(image, program, exchange, limit=10**9, cache=CYCLES["esp32c3"].cache)
    theirs = qemu_core.run(elf, image, exchange, limit=10**9)
    assert ours.answer.outputs == theirs.answer.outputs
    assert ours.answer.outputs[0] != ours.answer.outputs[1]
    for mine, other in zip(ours.runs, theirs.runs, strict=True):
        assert mine.whole.instructions == other.whole.instructions
        assert [c.instructions for c in mine.layers] == [c.instructions for c in other.layers]
    assert ours.answer.stack_bytes == theirs.answer.stack_bytes
    assert ours.answer.scratch_bytes == theirs.answer.scratch_bytes

"""Runs a compiled model on the emulated target: the same C code, compiled for its core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.targets import Target, target_named
from ternc.diagnostics import Diagnostic, UsageError
from ternc.emulation import cycles, memory, qemu_core, unicorn_core
from ternc.emulation.counts import Emulated
from ternc.emulation.elf import Image, read_elf
from ternc.emulation.errors import failed
from ternc.emulation.program import DeviceProgram, of_compiled, of_loaded
from ternc.emulation.result import EmulationResult, Flash
from ternc.emulation.toolchain import ISAS, builder_for, find_compiler
from ternc.running import to_device

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.loaded import LoadedModel

EmulatorName = Literal["unicorn", "qemu"]
EMULATORS: Final[tuple[EmulatorName, ...]] = get_args(EmulatorName)
MAX_INSTRUCTIONS: Final = 10_000_000_000  # twice a float model of 20 M multiply-accumulates
Feed = Mapping[str, npt.NDArray[Any]]


def emulate(
    model: CompiledModel | LoadedModel, feeds: Sequence[Feed], target: str | Target | None = None,
    *, toolchain: str | None = None, emulator: EmulatorName = "unicorn",
    max_instructions: int = MAX_INSTRUCTIONS,
) -> EmulationResult:
    """Runs samples, one after the other, on the emulated target.

    Args:
        model: What `ternc.compile` or `ternc.load` gave; stateful models keep their state from
            sample to sample.
        feeds: One sample each, {input name: array} as for `run`.
        target: A chip with a RISC-V core; default that of the model, "esp32c3" for a loaded one.
        toolchain: A gcc for RISC-V, by name or path; default clang of the ziglang package.
        emulator: "unicorn" or "qemu", which counts instructions but not their classes.
        max_instructions: Of all samples together.

    Raises:
        UsageError: The target has no RISC-V core (TC0604).
        ToolError: A compiler or emulator is missing (TC0601) or does not work (TC0602).
        EmulationError: The program failed or did not end (TC0603).
    """
    return emulate_bytes(model, [b"".join(_inputs(model, feed)) for feed in feeds], target,
                         toolchain=toolchain, emulator=emulator,
                         max_instructions=max_instructions)


def host_bytes(
    model: CompiledModel | LoadedModel, feeds: Sequence[Feed]
) -> tuple[tuple[bytes, ...], ...]:
    """What this machine's runtime answers, for each sample the bytes of each output."""
    runner = model.runner
    runner.engine.reset()
    answers = []
    for feed in feeds:
        for i, data in enumerate(_inputs(model, feed)):
            runner.engine.write_input(i, data)
        runner.engine.run()
        answers.append(tuple(runner.engine.read_output(i) for i in range(len(runner.outputs))))
    return tuple(answers)


def _inputs(model: CompiledModel | LoadedModel, feed: Feed) -> list[bytes]:
    """The bytes of each input."""
    return [to_device(np.asarray(feed[port.name]).reshape(port.shape), port).tobytes()
            for port in model.runner.inputs]


def emulate_bytes(
    model: CompiledModel | LoadedModel, samples: Sequence[bytes],
    target: str | Target | None = None, *, toolchain: str | None = None,
    emulator: EmulatorName = "unicorn", max_instructions: int = MAX_INSTRUCTIONS,
) -> EmulationResult:
    """The same for the raw bytes of all inputs, one string for each sample."""
    assert samples
    from ternc.compiled import CompiledModel

    chip = _chip(model, target)
    builder = builder_for(toolchain)
    program = _program(model)
    version = check_tools(toolchain, emulator)
    elf = builder.build(program, chip.isa)
    image = read_elf(elf)
    exchange = memory.Exchange(tuple(samples), sum(program.output_bytes), len(program.layers))
    if emulator == "qemu":
        found = qemu_core.run(elf, image, exchange, limit=max_instructions)
    else:
        found = unicorn_core.run(image, program, exchange, limit=max_instructions,
                                 cache=cycles.MODELS[chip.name].cache)
    if found.answer.status != 0 or found.answer.done != len(samples):
        raise failed(f"the emulated runtime answered status {_signed(found.answer.status)} at "
                     f"sample {found.answer.done + 1}: {_message(found.answer.status)}",
                     "this is a bug in ternc: please report it with the model")
    basis = f"{builder.compiler.basis(chip.isa)}; {version}"
    result = _result(chip, basis, program, image, found)
    if isinstance(model, CompiledModel) and model.target == chip:
        model.emulation = result
    return result


def check_tools(toolchain: str | None, emulator: EmulatorName) -> str:
    """Refuses where something is missing, before any work; the emulator's version.

    Raises:
        ToolError: a compiler or emulator is missing (TC0601).
    """
    find_compiler(toolchain)
    return unicorn_core.version() if emulator == "unicorn" else qemu_core.version()


def can_emulate(target: Target) -> bool:
    """Whether the target has a RISC-V core."""
    return target.isa in ISAS


def _chip(model: CompiledModel | LoadedModel, target: str | Target | None) -> Target:
    if target is None:
        own = getattr(model, "target", None)
        target = own if isinstance(own, Target) else "esp32c3"
    chip = target if isinstance(target, Target) else target_named(target)
    if not can_emulate(chip):
        raise UsageError((Diagnostic(
            "TC0604", f"{chip.name} ({chip.isa}) cannot be emulated: only RISC-V parts can",
            help="the estimate in the report covers it; or emulate for "
            f"{', '.join(cycles.MODELS)}"),))
    return chip


def _program(model: CompiledModel | LoadedModel) -> DeviceProgram:
    from ternc.loaded import LoadedModel

    return of_loaded(model) if isinstance(model, LoadedModel) else of_compiled(model)


def _result(chip: Target, basis: str, program: DeviceProgram, image: Image,
            found: Emulated) -> EmulationResult:
    slowest = max(found.runs, key=lambda run: run.whole.instructions)
    return EmulationResult(
        target=chip, basis=basis,
        outputs=tuple(_split(data, program.output_bytes) for data in found.answer.outputs),
        layers=tuple(zip(program.layers, slowest.layers, strict=True)), whole=slowest.whole,
        stack_bytes=found.answer.stack_bytes, arena_bytes=program.arena_bytes,
        arena_used_bytes=min(found.answer.scratch_bytes + program.state_bytes,
                             program.arena_bytes),
        slow_bytes=found.answer.slow_bytes,
        flash=Flash(program.weight_bytes, program.blob_bytes - program.weight_bytes,
                    _code_bytes(image, program)))


def _code_bytes(image: Image, program: DeviceProgram) -> int:
    """Code and constants that were linked, without the blob."""
    size = sum(image.section(name).size for name in (".text", ".rodata", ".data"))
    return size - image.symbols.get("model_blob", (0, program.blob_bytes))[1]


def _split(data: bytes, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    out, at = [], 0
    for size in sizes:
        out.append(data[at : at + size])
        at += size
    return tuple(out)


def _signed(status: int) -> int:
    return status - 2**32 if status >= 2**31 else status


def _message(status: int) -> str:
    names = {-9: "a kernel is missing", -8: "an unknown instruction", -11: "too little memory",
             -6: "the blob is damaged", -10: "an operand does not fit"}
    return names.get(_signed(status), "see ternc_status in ternc.h")

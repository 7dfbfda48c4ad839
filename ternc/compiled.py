"""`CompiledModel`: runs on this machine through the C runtime, saves, and describes itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import DType, Program, View
from ternc.backends.esp32.targets import Target
from ternc.diagnostics import Diagnostic, Diagnostics, UsageError
from ternc.running import Array, Runner

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ternc._engine import Model as Engine
    from ternc.backends.esp32.memory_plan import MemoryPlan
    from ternc.emulation import EmulationResult
    from ternc.mixed.result import MixedPrecision

SUFFIXES = (".h", ".tern", ".onnx")


@dataclass(slots=True)
class CompiledModel:
    """A compiled model. `source` is the model as given, `model` what was lowered.

    `emulation` is what the last `ternc.emulation.emulate` of it for its own target found.

    `host` is what runs on this machine when `program` holds generated code: the same answers by
    the runtime's own kernels.
    """

    name: str
    target: Target
    source: onnx.ModelProto
    model: ir.Model
    program: Program
    plan: MemoryPlan
    blob: bytes
    diagnostics: Diagnostics
    folded: dict[str, str]
    mixed: MixedPrecision | None = None
    host: Program | None = None
    emulation: EmulationResult | None = field(default=None, repr=False)
    _runner: Runner | None = field(default=None, repr=False)

    def run(
        self, inputs: Array | Mapping[str, Array], *, intermediates: bool = False
    ) -> dict[str, Array]:
        """Runs the model through the C runtime on this machine.

        Args:
            inputs: one array, or {input name: array}, with the ONNX model's shapes and element
                types. Where the model's batch was dynamic, a leading axis of N samples is run
                one sample after the other.
            intermediates: also return every tensor that the program holds in memory, by its ONNX
                name, dequantized; `report()["folded"]` says what absorbed the others.

        Returns:
            {output name: array}, with the names, element types and axis order of the ONNX model.

        Raises:
            UsageError: a name, shape or element type does not fit.
        """
        return self.runner.run(inputs, self._observe if intermediates else None)

    def reset(self) -> None:
        """Puts stateful models back into their initial state."""
        self.engine.reset()

    @property
    def runner(self) -> Runner:
        """What runs the program on this machine."""
        if self._runner is None:
            blob = self.blob if self.host is None else encode(self.host)
            self._runner = Runner(blob, self.runs.inputs, self.runs.outputs)
        return self._runner

    @property
    def engine(self) -> Engine:
        """The loaded C runtime."""
        return self.runner.engine

    @property
    def runs(self) -> Program:
        """The program that `run` runs."""
        return self.program if self.host is None else self.host

    @property
    def flash_bytes(self) -> int:
        """Bytes of the blob and (estimated) of generated code; the runtime is not in it."""
        return len(self.blob) + sum(native.code_bytes for native in self.program.natives)

    def float_instructions(self) -> int:
        """How many instructions compute in float32."""
        return sum(
            any(t.dtype is DType.F32 for t in item.tensors(Kind.IN, Kind.OUT))
            for item in self.program.instructions
            if item.opcode.name not in ("copy_nd", "fill", "gather")
        )

    def report(self) -> dict[str, Any]:
        """What the compiled model needs and holds (design.md lists the keys)."""
        from ternc.report import report

        return report(self)

    def header(self) -> str:
        """The C header."""
        from ternc.backends.esp32.emit_header import emit_header
        from ternc.report import header_comment

        return emit_header(self.program, self.blob, symbol=self.name, comment=header_comment(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the C header (.h), the raw blob (.tern) or the quantized model (.onnx).

        The file appears whole or not at all.

        Raises:
            UsageError: another suffix, or the file cannot be written.
        """
        target = Path(path)
        if target.suffix == ".h":
            data = self.header().encode()
        elif target.suffix == ".tern":
            if self.program.natives:
                raise UsageError((Diagnostic(
                    "TC0403", "a .tern file cannot carry generated code (optimize=\"speed\")",
                    help="write a .h, or compile without -O speed"),))
            data = encode(self.program, names=True)
        elif target.suffix == ".onnx":
            import onnx_ir

            data = onnx_ir.to_proto(self.model).SerializeToString(deterministic=True)
        else:
            raise UsageError((Diagnostic(
                "TC0403", f"cannot tell what to write to {target.name!r}",
                help=f"the suffix decides: {', '.join(SUFFIXES)}"),))
        write_whole(target, data)

    def _observe(self, engine: Engine, seen: dict[str, Array]) -> Callable[[int, int], None]:
        """A callback that reads each tensor right after the instruction that completes it."""
        numbers = {id(t): i for i, t in enumerate(self.runs.tensors())}
        last_write: dict[int, int] = {}
        for step, item in enumerate(self.runs.instructions):
            for tensor in item.writes:
                last_write[id(tensor.root)] = step
        due: dict[int, list[tuple[str, View]]] = {}
        for name, view in self.runs.values.items():
            due.setdefault(last_write.get(id(view.tensor), -1) + 1, []).append((name, view))

        def collect(instruction: int, _opcode: int) -> None:
            for name, view in due.get(instruction, ()):
                flat = np.frombuffer(engine.read_tensor(numbers[id(view.tensor)]),
                                     view.tensor.dtype.numpy)
                seen[name] = real_view(flat, view)

        return collect


def real_view(flat: Array, view: View) -> Array:
    """A tensor's elements in logical order, dequantized where it is quantized."""
    logical = flat.reshape(view.atoms).transpose(view.permutation).reshape(view.shape)
    if view.scale is not None:
        centred = logical.astype(np.int32) - view.zero_point
        return (centred.astype(np.float32) * np.float32(view.scale)).astype(np.float32)
    return logical if not view.zero_point else (logical.astype(np.int32) - view.zero_point)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file by renaming a finished one, so that no half-written file is ever seen."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError((Diagnostic(
            "TC0007", f"cannot write {str(path)!r}: {error.strerror}",
            help="check that the folder exists and may be written to"),)) from None

"""`CompiledModel`: runs on this machine through the C runtime, saves, and describes itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import DType, Port, Program, View
from ternc.backends.esp32.targets import Target
from ternc.diagnostics import Diagnostic, Diagnostics, UsageError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ternc._engine import Model as Engine
    from ternc.backends.esp32.memory_plan import MemoryPlan
    from ternc.mixed_precision import MixedPrecision

Array = npt.NDArray[Any]  # of the element types that the model declares
SUFFIXES = (".h", ".tern", ".onnx")


@dataclass(slots=True)
class CompiledModel:
    """A compiled model. `source` is the model as given, `model` what was lowered.

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
    _engine: Engine | None = field(default=None, repr=False)

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
        feeds = self._feeds(inputs)
        batch = self._batch(feeds)
        if batch is None:
            return self._run_once(feeds, intermediates)
        runs = [self._run_once({n: a[i : i + 1] for n, a in feeds.items()}, intermediates)
                for i in range(batch)]
        if not runs:
            return {port.name: _declared(port)[:0] for port in self.program.outputs}
        return {name: np.concatenate([np.atleast_1d(run[name]) for run in runs])
                for name in runs[0]}

    def reset(self) -> None:
        """Puts stateful models back into their initial state."""
        self.engine.reset()

    @property
    def engine(self) -> Engine:
        """The loaded C runtime."""
        if self._engine is None:
            from ternc._engine import Model

            self._engine = Model(self.blob if self.host is None else encode(self.host))
        return self._engine

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

    # -- running -------------------------------------------------------------------------------

    def _feeds(self, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
        names = [port.name for port in self.runs.inputs]
        if not isinstance(inputs, Mapping):
            if len(names) != 1:
                raise _usage(f"the model has {len(names)} inputs: {', '.join(names)}",
                             "pass {name: array}")
            inputs = {names[0]: inputs}
        missing, extra = set(names) - set(inputs), set(inputs) - set(names)
        if missing or extra:
            raise _usage(f"inputs given: {', '.join(inputs)}; the model has {', '.join(names)}")
        return {name: np.asarray(inputs[name]) for name in names}

    def _batch(self, feeds: dict[str, Array]) -> int | None:
        """Number of samples when every input has a leading axis of them, None for a single run."""
        counts: set[int | None] = set()
        for port in self.runs.inputs:
            given, shape = feeds[port.name].shape, port.shape
            if given == shape:
                counts.add(None)
            elif len(given) == len(shape) and shape and shape[0] == 1 and given[1:] == shape[1:]:
                counts.add(given[0])
            else:
                raise _usage(f"input {port.name!r} has shape {given}; the model takes {shape}")
        if 1 in counts:  # one sample, whether its axis was meant as that of samples or not
            counts.discard(None)
        if counts == {None}:
            return None
        if len(counts) != 1:
            raise _usage("the inputs have different numbers of samples")
        (count,) = counts
        return count

    def _run_once(self, feeds: dict[str, Array], intermediates: bool) -> dict[str, Array]:
        engine = self.engine
        for place, port in enumerate(self.runs.inputs):
            engine.write_input(place, to_device(feeds[port.name], port).tobytes())
        seen: dict[str, Array] = {}
        if intermediates:
            engine.run_with(self._collector(seen))
        else:
            engine.run()
        for place, port in enumerate(self.runs.outputs):
            flat = np.frombuffer(engine.read_output(place), port.tensor.dtype.numpy)
            seen[port.name] = from_device(flat.reshape(port.shape), port)
        return seen

    def _collector(self, seen: dict[str, Array]) -> Any:
        """A callback that reads each tensor right after the instruction that completes it."""
        numbers = {id(t): i for i, t in enumerate(self.runs.tensors())}
        last_write: dict[int, int] = {}
        for step, item in enumerate(self.runs.instructions):
            for tensor in item.writes:
                last_write[id(tensor)] = step
        due: dict[int, list[tuple[str, View]]] = {}
        for name, view in self.runs.values.items():
            due.setdefault(last_write.get(id(view.tensor), -1) + 1, []).append((name, view))

        def collect(instruction: int, _opcode: int) -> None:
            for name, view in due.get(instruction, ()):
                flat = np.frombuffer(self.engine.read_tensor(numbers[id(view.tensor)]),
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


def to_device(array: Array, port: Port) -> Array:
    """An input as the program takes it: quantized where the port is an integer tensor."""
    import onnx_ir as ir

    declared = ir.DataType(port.onnx_type).numpy()
    if not np.can_cast(array.dtype, declared, "same_kind"):
        raise _usage(f"input {port.name!r} is {array.dtype}; the model takes {declared}")
    array = array.astype(declared)
    wanted = port.tensor.dtype.numpy
    if declared == np.float32 and wanted == np.int8:
        assert port.scale is not None
        with np.errstate(over="ignore"):
            real = array.astype(np.float32) / np.float32(port.scale)
            codes = np.nan_to_num(np.rint(real) + port.zero_point, nan=float(port.zero_point))
        stored: npt.NDArray[np.int8] = np.clip(codes, -128, 127).astype(np.int8)
        return stored
    if declared == np.int64:
        array = np.clip(array, -(2**31), 2**31 - 1)
    return array.astype(wanted)


def _declared(port: Port) -> Array:
    """Zeros of an output's shape, one sample at least, and element type."""
    import onnx_ir as ir

    return np.zeros(port.shape or (1,), ir.DataType(port.onnx_type).numpy())


def from_device(array: Array, port: Port) -> Array:
    """An output as the ONNX model declares it."""
    import onnx_ir as ir

    declared = ir.DataType(port.onnx_type).numpy()
    if declared == np.float32 and array.dtype == np.int8 and port.scale is not None:
        centred = (array.astype(np.int32) - port.zero_point).astype(np.float32)
        return (centred * np.float32(port.scale)).astype(np.float32)
    return array.astype(declared)


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


def _usage(message: str, help: str = "") -> UsageError:
    return UsageError((Diagnostic("TC0301", message, help=help),))


"""`load()`: a saved program (.tern), to run on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ternc.backends.esp32.decode import Blob, InvalidBlob, decode
from ternc.backends.esp32.program import Port, Tensor
from ternc.diagnostics import CompileError, Diagnostic
from ternc.inspection import describe
from ternc.running import Array, Runner


@dataclass(slots=True)
class LoadedModel:
    """A program without the model that it was compiled from."""

    blob: bytes
    runner: Runner

    def run(self, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Runs the program through the C runtime, as `CompiledModel.run` does."""
        return self.runner.run(inputs)

    def reset(self) -> None:
        """Puts stateful models back into their initial state."""
        self.runner.engine.reset()

    def report(self) -> dict[str, Any]:
        """What the program needs and holds, as far as it says so itself."""
        return describe(self.blob)


def load(path: str | os.PathLike[str]) -> LoadedModel:
    """Loads a program that `CompiledModel.save("model.tern")` wrote.

    Raises:
        CompileError: the file cannot be read (TC0001) or is no program of this version (TC0002).
    """
    try:
        blob = Path(path).read_bytes()
    except OSError as error:
        raise CompileError((Diagnostic(
            "TC0001", f"cannot read {str(path)!r}: {error.strerror}", help="check the path"),)
        ) from None
    try:
        parsed = decode(blob)
        runner = Runner(blob, _ports(parsed, False), _ports(parsed, True))
        _ = runner.engine  # verifies the whole blob
    except (InvalidBlob, ValueError) as error:
        raise CompileError((Diagnostic(
            "TC0002", f"{Path(path).name!r} is not a program that this version runs: {error}",
            help="compile the model again"),)) from None
    return LoadedModel(blob, runner)


def _ports(parsed: Blob, outputs: bool) -> list[Port]:
    ports = []
    for record in parsed.ports:
        if record.is_output is outputs:
            tensor = parsed.tensors[record.tensor]
            ports.append(Port(
                record.name, Tensor(record.name, tensor.dtype, record.shape, tensor.region),
                record.shape, record.onnx_type, record.scale or None, record.zero_point))
    return ports

"""What a compilation leaves for looking at: the model after passes, and everything after that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ternc.diagnostics import Diagnostic, UsageError, did_you_mean

if TYPE_CHECKING:
    import onnx_ir as ir

    from ternc.compiled import CompiledModel

ALL: Final = "all"
QUANTIZE: Final = "quantize"  # the last step, where anything lossy is asked for
_ELIDED: Final = 16  # elements above which a weight's values are not printed


class Dumper:
    """Called after each pass: prints the model, or writes it into a folder, or both.

    Raises:
        UsageError: a pass does not exist (TC0403), or the folder cannot be made (TC0007).
    """

    def __init__(self, after: Sequence[str], folder: Path | None, file: IO[str]) -> None:
        known = pass_names()
        for name in after:
            if name != ALL and name not in known:
                raise UsageError((Diagnostic(
                    "TC0403", f"no pass is named {name!r}",
                    help=f"{did_you_mean(name, known)}the passes are {', '.join(known)}, or all"),
                ))
        self._after, self._folder, self._file = frozenset(after), folder, file
        self._count = 0
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError((Diagnostic(
                    "TC0007", f"cannot write {str(folder)!r}: {error.strerror}",
                    help="name a folder that can be made"),)) from None

    def __call__(self, name: str, model: ir.Model) -> None:
        """Takes the model after pass `name`."""
        import onnx_ir as ir

        self._count += 1
        if self._folder is not None:
            self._write(f"{self._count:02}-{name}.onnx", ir.to_proto(model).SerializeToString(
                deterministic=True))
        if name in self._after or ALL in self._after:
            print(f"--- after {name}", model_text(model), sep="\n", file=self._file)

    def finish(self, compiled: CompiledModel) -> None:
        """Writes the program: its bytes, its listing, its memory plan."""
        from ternc.backends.esp32.disassemble import disassemble
        from ternc.backends.esp32.encode import encode
        from ternc.drawing.plan import plan_of
        from ternc.drawing.plan_svg import plan_svg
        from ternc.drawing.plan_text import plan_text

        if self._folder is None:
            return
        named = encode(compiled.program, names=True)
        plan = plan_of(named)
        self._write("program.tern", named)
        self._write("program.txt", disassemble(named).encode())
        self._write("plan.txt", plan_text(plan).encode())
        self._write("plan.svg", plan_svg(plan, alone=True).encode())

    def _write(self, name: str, data: bytes) -> None:
        from ternc.compiled import write_whole

        assert self._folder is not None
        write_whole(self._folder / name, data)


def pass_names() -> list[str]:
    """The passes in their order."""
    from ternc.diagnostics import Diagnostics
    from ternc.passes import front

    names = [str(getattr(step, "name", type(step).__name__)) for step in front(Diagnostics())]
    return [*dict.fromkeys(names), QUANTIZE]


def model_text(model: ir.Model) -> str:
    """The graph as text, a node a line, long weights without their values."""
    lines = [f"inputs  {', '.join(map(str, model.graph.inputs))}"]
    for name, value in model.graph.initializers.items():
        shape = "x".join(map(str, value.shape or ())) or "scalar"
        small = value.const_value is not None and value.const_value.size <= _ELIDED
        values = f" = {value.const_value.numpy().tolist()}" if small and value.const_value \
            is not None else ""
        lines.append(f"weight  {name}: {value.dtype} {shape}{values}")
    for node in model.graph:
        domain = f"{node.domain}::" if node.domain else ""
        attributes = ", ".join(f"{key}={item.value}" for key, item in node.attributes.items()
                               if len(str(item.value)) < 80)
        read = ", ".join("" if value is None else str(value.name) for value in node.inputs)
        made = ", ".join(str(value.name) for value in node.outputs)
        more = f" [{attributes}]" if attributes else ""
        lines.append(f"{made} = {domain}{node.op_type}({read}){more}  # {node.name}")
    lines.append(f"outputs {', '.join(map(str, model.graph.outputs))}")
    return "\n".join(lines)

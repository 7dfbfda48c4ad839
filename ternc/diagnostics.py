"""What ternc tells its user: diagnostics with a stable code, the node, why, and what to do.

A leaf: imports only the standard library, so passes and backends may use it. Passes and lowering
report into a `Diagnostics` collector; nothing is raised until all problems are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Severity(Enum):
    """How serious a diagnostic is; only errors stop a compilation."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


CODES: Final[dict[str, str]] = {
    # 00xx: the file
    "TC0001": "the file cannot be read",
    "TC0002": "not an ONNX model",
    "TC0003": "the model breaks the ONNX specification",
    "TC0004": "external data is missing or leaves the model's folder",
    "TC0005": "a model was repaired while loading",
    "TC0006": "a value in the model is not finite",
    "TC0007": "the output cannot be written",
    "TC0008": "the framework cannot export the model",
    # 01xx: the graph
    "TC0101": "operator not supported",
    "TC0102": "attribute or input form not supported",
    "TC0103": "a shape is not static",
    "TC0104": "element type not supported",
    "TC0105": "the graph has control flow that could not be removed",
    "TC0106": "a shape is too large",
    "TC0107": "the model has no outputs or no work to do",
    "TC0108": "channels that do not matter were removed",
    # 02xx: weights and numbers
    "TC0201": "weights are almost ternary",
    "TC0202": "a range saturates",
    "TC0203": "a layer stays in float32 inside an integer model",
    "TC0204": "float32 on a chip without a floating-point unit",
    "TC0205": "quantized without calibration data",
    "TC0206": "a pass changed the model's answer",
    "TC0207": "weights were made ternary with loss",
    "TC0208": "the limit on the loss cannot be held",
    "TC0209": "the samples are too few to be sure of the limit on the loss",
    "TC0210": "mixed precision saved nothing",
    "TC0211": "a default was taken for want of data",
    # 03xx: data
    "TC0301": "calibration or validation data does not fit the model",
    "TC0302": "only some of the samples are used",
    # 04xx: the target
    "TC0401": "unknown target",
    "TC0402": "the model does not fit the target",
    "TC0403": "an option is not valid",
    # 05xx: validation
    "TC0501": "the compiled model disagrees with onnxruntime",
    # 06xx: emulation
    "TC0601": "a tool is not installed",
    "TC0602": "a tool does not work",
    "TC0603": "the emulated program failed",
    "TC0604": "the target cannot be emulated",
    # 09xx
    "TC0901": "internal error",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """"did you mean 'x'? " for the name among `known` that is nearest, "" when none is near."""
    from difflib import get_close_matches

    candidates = list(known)
    near = [name for name in candidates if name.lower() == word.lower()] or get_close_matches(
        word, candidates, n=1)
    if not near:  # a part of a long name
        near = [name for name in candidates if len(word) > 3 and word.lower() in name.lower()][:1]
    return f"did you mean {near[0]!r}? " if near else ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message. `node` is the ONNX node's name, `source` the framework's layer if known."""

    code: str
    message: str
    severity: Severity = Severity.ERROR
    node: str = ""
    op_type: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    help: str = ""

    def __post_init__(self) -> None:
        assert self.code in CODES, self.code

    def render(self, file: str = "") -> str:
        """The message as rustc would print it, without colour."""
        where = f"{file}: " if file else ""
        lines = [f"{where}{self.severity.value}[{self.code}]: {self.message}"]
        if self.node or self.op_type:
            lines.append(f"  --> node {self.node!r} ({self.op_type})" if self.op_type
                         else f"  --> node {self.node!r}")
        if self.source:
            lines.append(f"  from: {self.source}")
        lines.extend(f"  note: {note}" for note in self.notes)
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The message as plain data, for `--json`."""
        return {
            "code": self.code, "severity": self.severity.value, "message": self.message,
            "node": self.node, "op_type": self.op_type, "source": self.source,
            "notes": list(self.notes), "help": self.help,
        }


@dataclass(slots=True)
class Diagnostics:
    """Collects diagnostics; the same message about the same node is kept once."""

    items: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keeps `diagnostic` unless it is already there."""
        if diagnostic not in self.items:
            self.items.append(diagnostic)

    def error(self, code: str, message: str, **details: object) -> None:
        """Adds an error; `details` are `Diagnostic`'s other fields."""
        self.add(Diagnostic(code, message, Severity.ERROR, **details))  # type: ignore[arg-type]

    def warning(self, code: str, message: str, **details: object) -> None:
        """Adds a warning; `details` are `Diagnostic`'s other fields."""
        self.add(Diagnostic(code, message, Severity.WARNING, **details))  # type: ignore[arg-type]

    def note(self, code: str, message: str, **details: object) -> None:
        """Adds a note; `details` are `Diagnostic`'s other fields."""
        self.add(Diagnostic(code, message, Severity.NOTE, **details))  # type: ignore[arg-type]

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors among the diagnostics."""
        return [item for item in self.items if item.severity is Severity.ERROR]

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def raise_errors(self) -> None:
        """Raises `CompileError` with every diagnostic if one of them is an error."""
        if self.errors:
            raise CompileError(tuple(self.items))


class TerncError(Exception):
    """Base of every error that a user can cause; carries `diagnostics` and an exit code."""

    exit_code = 1

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(item.render() for item in diagnostics))


class CompileError(TerncError):
    """The model cannot be compiled; `.diagnostics` lists every problem found."""


class UsageError(TerncError):
    """An option or argument is wrong (exit code 2)."""

    exit_code = 2


class DoesNotFit(CompileError):
    """The model compiles but does not fit the target (exit code 3)."""

    exit_code = 3

"""The checks that need no samples: is the model valid, does it compile, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ternc.diagnostics import CompileError, Diagnostic, Severity
from ternc.validation.checks import Check, Stage, Verdict

if TYPE_CHECKING:
    import onnx

    from ternc.compiled import CompiledModel

_FAMILIES = {"onnx": ("TC00",), "operators": ("TC0101", "TC0102", "TC0104", "TC0105")}
_SHOWN = 20
_FLOAT = ("TC0203", "TC0204")  # what says that a layer computes in float32


def refusals(error: CompileError) -> list[Check]:
    """The checks of a model that was refused, from the codes of its errors."""
    errors = [item for item in error.diagnostics if item.severity is Severity.ERROR]
    checks = []
    for name, codes in _FAMILIES.items():
        hits = [item for item in errors if item.code.startswith(codes)]
        if hits:
            detail = hits[0].message if len(hits) == 1 else f"{len(hits)} problems"
            checks.append(Check(name, Verdict.FAILED, detail, stage=Stage.COMPILES,
                                notes=tuple(map(_line, hits[:_SHOWN]))))
        elif name == "onnx":
            checks.append(Check(name, Verdict.PASSED, "valid", stage=Stage.COMPILES))
    if not any(check.failed for check in checks):
        checks.append(Check("compiles", Verdict.FAILED, f"{len(errors)} problems",
                            stage=Stage.COMPILES, notes=tuple(map(_line, errors[:_SHOWN]))))
    return checks


def _line(item: Diagnostic) -> str:
    where = f"{item.node} ({item.op_type}): " if item.node and item.op_type else ""
    return f"{item.code} {where}{item.message}"


def compiles(compiled: CompiledModel) -> list[Check]:
    """The checks of a model that was compiled."""
    count = len(compiled.program.instructions)
    floats = compiled.float_instructions()
    stay = [item for item in compiled.diagnostics if item.code == "TC0203"]
    detail = f"all supported, in {count} instructions"
    if floats and floats < count:
        detail += f", {floats} of them float32"
    return [
        _valid(compiled),
        Check("operators", Verdict.PASSED, detail, stage=Stage.COMPILES,
              notes=tuple(map(_line, stay[:_SHOWN]))),
        Check("compiles", Verdict.PASSED, f"for {compiled.target.name}", stage=Stage.COMPILES),
    ]


def _valid(compiled: CompiledModel) -> Check:
    """onnx.checker's word on the file, or, where it cannot judge, on what was made of it."""
    import onnx_ir as ir

    repairs = tuple(_line(item) for item in compiled.diagnostics if item.code == "TC0005")
    why = _refused(compiled.source)
    if why is None:
        detail = "onnx.checker accepts it"
    else:
        again = _refused(ir.to_proto(compiled.model))
        if again is not None:
            return Check("onnx", Verdict.FAILED, f"onnx.checker refuses what was made of it: "
                         f"{again}", stage=Stage.COMPILES)
        detail = f"accepted after import; as it was given, onnx.checker says: {why}"
    if repairs:
        detail += f"; {len(repairs)} repairs"
    return Check("onnx", Verdict.PASSED, detail, stage=Stage.COMPILES, notes=repairs)


def _refused(model: onnx.ModelProto) -> str | None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # ValidationError, InferenceError, and what damaged bytes bring
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return " ".join(lines[:1])[:160] or type(error).__name__
    return None

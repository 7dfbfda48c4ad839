"""ternc: from an ONNX model to a ternary-weight program for an ESP32.

Everything is imported when first used, so that `import ternc` and the command line start at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ternc import quantize as quantize
    from ternc.compiled import CompiledModel as CompiledModel
    from ternc.compiler import compile as compile
    from ternc.diagnostics import CompileError as CompileError
    from ternc.diagnostics import Diagnostic as Diagnostic
    from ternc.diagnostics import DoesNotFit as DoesNotFit
    from ternc.diagnostics import UsageError as UsageError
    from ternc.exporting import export as export
    from ternc.loaded import load as load
    from ternc.validation import validate as validate

__version__ = "0.1.0"

_HOMES = {
    "compile": "ternc.compiler", "CompiledModel": "ternc.compiled", "validate": "ternc.validation",
    "CompileError": "ternc.diagnostics", "Diagnostic": "ternc.diagnostics",
    "DoesNotFit": "ternc.diagnostics", "UsageError": "ternc.diagnostics", "load": "ternc.loaded",
    "export": "ternc.exporting",
}
_MODULES = ("quantize",)

__all__ = [
    "CompileError", "CompiledModel", "Diagnostic", "DoesNotFit", "UsageError", "compile",
    "export", "load", "quantize", "validate",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = import_module(f"ternc.{name}")
    else:
        raise AttributeError(f"module 'ternc' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""What can go wrong with an emulation."""

from __future__ import annotations

from ternc.diagnostics import Diagnostic, TerncError


class EmulationError(TerncError):
    """The emulated program failed, or did not finish (exit code 4)."""

    exit_code = 4


class ToolError(TerncError):
    """A compiler or emulator is missing or does not work (exit code 2)."""

    exit_code = 2


def missing(what: str, install: str) -> ToolError:
    """A tool that has to be installed."""
    return ToolError((Diagnostic("TC0601", f"{what} is not installed", help=install),))


def broken(what: str, output: str) -> ToolError:
    """A tool that ended with an error; `output` is what it printed."""
    lines = [line for line in output.splitlines() if line.strip()]
    return ToolError((Diagnostic(
        "TC0602", f"{what} failed", notes=tuple(lines[:8]) or ("it printed nothing",),
        help="check that it can be run by itself, is current, and is made for RISC-V"),))


def failed(message: str, help: str = "") -> EmulationError:
    """A program that went wrong in the emulator."""
    return EmulationError((Diagnostic("TC0603", message, help=help),))

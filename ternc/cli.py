"""The `ternc` command: compile, validate, bench, inspect, targets, ops.

Data goes to stdout, messages and progress to stderr. Exit codes: 0 done, 1 the model cannot be
compiled, 2 wrong usage, 3 it does not fit the target, 4 validation below its threshold, 70
internal error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from ternc import __version__, console, options
from ternc.diagnostics import Diagnostic, Severity, TerncError, UsageError, did_you_mean

INTERNAL_ERROR: Final = 70
COMMANDS: Final = ("validate", "bench", "inspect", "explain", "targets",
                   "ops")  # files in ternc/commands/
_INTERRUPTED: Final = 130  # as the shell reports SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    arguments = options.joined(list(sys.argv[1:] if argv is None else argv))
    named = bool(arguments) and arguments[0] in COMMANDS
    if not named and arguments and not arguments[0].startswith("-"):
        _warn_of_a_command(arguments[0])
    command = import_module(f"ternc.commands.{arguments[0] if named else 'compile'}")
    try:
        parsed = command.make_parser().parse_args(arguments[1:] if named else arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return int(command.run(parsed))
    except TerncError as error:
        return _fail(error.diagnostics, error.exit_code, parsed)
    except BrokenPipeError:
        # The reader of stdout has left (`ternc ops | head`): not an error of ours.
        sys.stdout = None  # nothing more may be flushed to it
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        return _unexpected(error, parsed)


def _warn_of_a_command(word: str) -> None:
    """`ternc validat model.onnx` is meant to compile nothing."""
    hint = "" if Path(word).exists() or Path(word).suffix else did_you_mean(word, COMMANDS)
    if hint:
        print(f"ternc: {word!r} is no command and no file; {hint.rstrip()}", file=sys.stderr)


def _unexpected(error: Exception, parsed: argparse.Namespace) -> int:
    oracle = sys.modules.get("ternc.oracle")
    if oracle is not None and isinstance(error, oracle.OracleError):
        text = str(error).splitlines()[0] if str(error) else "no reason given"
        item = Diagnostic("TC0003", f"onnxruntime cannot run the model: {text}",
                          help="run the model in onnxruntime alone to see more")
        return _fail((item,), 1, parsed)
    if getattr(parsed, "verbose", False):
        import traceback

        traceback.print_exc()
    item = Diagnostic(
        "TC0901", f"internal error: {type(error).__name__}: {error}",
        notes=(f"ternc {__version__}, Python {sys.version.split()[0]}",),
        help="this is a bug in ternc: please report it with the command, the model if it can be "
        "shared, and the output of the same command with -v",
    )
    return _fail((item,), INTERNAL_ERROR, parsed)


def _fail(items: Sequence[Diagnostic], code: int, parsed: argparse.Namespace) -> int:
    quiet = getattr(parsed, "quiet", False)
    shown = [item for item in items if not quiet or item.severity is Severity.ERROR]
    console.print_diagnostics(shown, sys.stderr, Path(getattr(parsed, "model", "")).name)
    if getattr(parsed, "json", False):
        print(json.dumps({"exit_code": code, "diagnostics": [item.to_json() for item in items]},
                         indent=2))
    return code


__all__ = ["COMMANDS", "UsageError", "main"]

if __name__ == "__main__":
    sys.exit(main())

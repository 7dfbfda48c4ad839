"""The `ternc` command: compile, validate, inspect, targets, ops.

Data goes to stdout, messages and progress to stderr. Exit codes: 0 done, 1 the model cannot be
compiled, 2 wrong usage, 3 it does not fit the target, 4 validation below its threshold, 70
internal error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ternc import __version__, console, options
from ternc.diagnostics import Diagnostic, Severity, TerncError, UsageError

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel

INTERNAL_ERROR: Final = 70
_INTERRUPTED: Final = 130  # as the shell reports SIGINT

_EPILOG = """\
other commands (each with its own --help):
  ternc validate MODEL    check that a model deploys, fits, and answers as onnxruntime does
  ternc inspect FILE      report, disassembly and memory plan of a model, blob or header
  ternc targets           the chips, with the source of each figure
  ternc ops               the ONNX operators, and in which precision
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    arguments = options.joined(list(sys.argv[1:] if argv is None else argv))
    command = _COMMANDS.get(arguments[0]) if arguments else None
    make_parser, run = command or (_compile_parser, _compile)
    try:
        parsed = make_parser().parse_args(arguments[1:] if command else arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return run(parsed)
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


def _show(compiled: CompiledModel, parsed: argparse.Namespace) -> None:
    """The diagnostics of a compilation that went well."""
    if not parsed.quiet:
        console.print_diagnostics(compiled.diagnostics, sys.stderr, Path(parsed.model).name)


# --- ternc MODEL -o OUT --------------------------------------------------------------------------


def _compile_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ternc", allow_abbrev=False, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compiles an ONNX model into a program for an ESP32.")
    parser.add_argument("--version", action="version", version=f"ternc {__version__}")
    parser.add_argument("model", metavar="MODEL", help="the ONNX model")
    parser.add_argument("-o", "--output", metavar="OUT", required=True,
                        help="C header (.h), raw program (.tern) or quantized model (.onnx)")
    options.add_compile_options(parser)
    parser.add_argument("--name", metavar="SYMBOL", type=options.symbol,
                        help="prefix of the C names; default from the model's file name")
    options.add_messages(parser)
    return parser


def _compile(parsed: argparse.Namespace) -> int:
    from ternc.report import print_report

    output = Path(parsed.output)
    options.check_output(output, Path(parsed.model))
    compiled = _compiled(parsed, name=parsed.name)
    data = compiled.report()
    compiled.save(output)
    _show(compiled, parsed)
    if compiled.mixed is not None and not parsed.quiet:
        print(compiled.mixed.table(), file=sys.stderr)
    if parsed.json:
        print(json.dumps(data, indent=2))
    elif not parsed.quiet:
        print_report(data, sys.stdout)
    if not parsed.quiet:
        print(f"wrote {output} ({output.stat().st_size:,} bytes)", file=sys.stderr)
    return 0


def _compiled(parsed: argparse.Namespace, **more: Any) -> CompiledModel:
    from ternc.compiler import compile

    with console.progress("calibrating", sys.stderr, quiet=parsed.quiet) as progress:
        return compile(parsed.model, **options.compile_options(parsed), progress=progress, **more)


# --- the other commands --------------------------------------------------------------------------


def _validate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ternc validate", allow_abbrev=False,
        description="Checks that a model deploys, fits, and answers as onnxruntime does.")
    parser.add_argument("model", metavar="MODEL", help="the ONNX model")
    parser.add_argument("--data", metavar="X.npz|DIR", help="samples; default seeded noise")
    parser.add_argument("--labels", metavar="Y.npy", help="their classes, to compare accuracy; "
                        "'labels' in the data serves too")
    parser.add_argument("--samples", metavar="N", type=options.positive, default=None,
                        help="how many samples to run; default all of the data, 32 of noise")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options.add_compile_options(parser)
    options.add_messages(parser)
    return parser


def _validate(parsed: argparse.Namespace) -> int:
    from ternc.validate import print_checks, validate

    with console.progress("validating", sys.stderr, quiet=parsed.quiet) as progress:
        result = validate(
            parsed.model, data=parsed.data, labels=parsed.labels, samples=parsed.samples,
            seed=parsed.seed, progress=progress, **options.compile_options(parsed))
    if not parsed.quiet:
        console.print_diagnostics(result.diagnostics, sys.stderr, Path(parsed.model).name)
    if parsed.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print_checks(result, sys.stdout)
    return result.exit_code


def _inspect_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ternc inspect", allow_abbrev=False,
        description="Shows what is in an ONNX model, a .tern program or a generated header.")
    parser.add_argument("model", metavar="FILE", help="model.onnx, model.tern or model.h")
    parser.add_argument("--plan", action="store_true", help="draw the memory plan")
    options.add_compile_options(parser)
    options.add_messages(parser)
    return parser


def _inspect(parsed: argparse.Namespace) -> int:
    from ternc import inspection
    from ternc.backends.esp32.disassemble import disassemble
    from ternc.backends.esp32.encode import encode
    from ternc.report import print_report

    blob = inspection.blob_in(Path(parsed.model))
    data: dict[str, Any] = {}
    if blob is None:
        compiled = _compiled(parsed, check_fit=False)
        _show(compiled, parsed)
        data, blob = compiled.report(), encode(compiled.program, names=True)
    elif parsed.json:
        data = inspection.describe(blob)
    if parsed.json:
        print(json.dumps(data, indent=2))
        return 0
    if data:
        print_report(data, sys.stdout)
    if parsed.plan:
        print(inspection.draw_plan(blob))
    print(disassemble(blob), end="")
    return 0


def _list_parser(name: str, what: str) -> Callable[[], argparse.ArgumentParser]:
    def make() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            prog=f"ternc {name}", description=what, allow_abbrev=False)
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print JSON")
        form.add_argument("--markdown", action="store_true", help="print a Markdown table")
        return parser

    return make


def _targets(parsed: argparse.Namespace) -> int:
    from ternc import listing

    listing.print_targets(sys.stdout, json=parsed.json, markdown=parsed.markdown)
    return 0


def _ops(parsed: argparse.Namespace) -> int:
    from ternc import listing

    listing.print_operators(sys.stdout, json=parsed.json, markdown=parsed.markdown)
    return 0


_Command = tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]
_COMMANDS: Final[dict[str, _Command]] = {
    "validate": (_validate_parser, _validate),
    "inspect": (_inspect_parser, _inspect),
    "targets": (_list_parser("targets", "Lists the chips, with the source of each figure."),
                _targets),
    "ops": (_list_parser("ops", "Lists the ONNX operators that ternc compiles."), _ops),
}

__all__ = ["UsageError", "main"]

if __name__ == "__main__":
    sys.exit(main())

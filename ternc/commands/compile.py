"""`ternc MODEL -o OUT`: compiles a model and writes it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ternc import __version__, console, options
from ternc.diagnostics import DoesNotFit

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.dumping import Dumper

_EPILOG: Final = """\
other commands (each with its own --help):
  ternc validate MODEL    check that a model deploys, fits, and answers as onnxruntime does
  ternc bench MODEL       run it on an emulated RISC-V core: exact instructions, stack, flash
  ternc inspect FILE      report, disassembly and memory plan of a model, blob or header
  ternc explain CODE      a diagnostic at length: why, an example, what to do
  ternc targets           the chips, with the source of each figure
  ternc ops               the ONNX operators, and in which precision
"""


def make_parser() -> argparse.ArgumentParser:
    """The options of compiling."""
    parser = options.Parser(
        prog="ternc", allow_abbrev=False, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compiles an ONNX model into a program for an ESP32.")
    parser.add_argument("--version", action="version", version=f"ternc {__version__}")
    parser.add_argument("model", metavar="MODEL", help="the ONNX model")
    parser.add_argument("-o", "--output", metavar="OUT", required=True,
                        help="C header (.h), raw program (.tern) or quantized model (.onnx)")
    options.add_compile_options(parser)
    parser.add_argument("--data", metavar="X.npz|DIR", help="samples that --max-drop measures "
                        "on, 1,000 or more with labels; default every other calibration sample")
    parser.add_argument("--labels", metavar="Y.npy|model", help="their classes; 'labels' in the "
                        "data serves too; model: what the float model answers")
    parser.add_argument("--name", metavar="SYMBOL", type=options.symbol,
                        help="prefix of the C names; default from the model's file name")
    options.add_report(parser)
    options.add_messages(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Compiles, saves, and prints the report."""
    from ternc.report import print_report

    output = Path(parsed.output)
    options.check_output(output, Path(parsed.model))
    options.check_files(Path(parsed.model), output, parsed.report)
    compiled = compiled_model(parsed, name=parsed.name, evaluation_data=parsed.data,
                              labels=parsed.labels, check_fit=False)
    _check_fits(compiled, parsed)
    data = compiled.report()
    compiled.save(output)
    if parsed.report is not None:
        from ternc.compiled import write_whole
        from ternc.webpage import page

        write_whole(parsed.report, page(compiled).encode())
    show_diagnostics(compiled, parsed)
    if compiled.mixed is not None and not parsed.quiet:
        print(compiled.mixed.table(), file=sys.stderr)
    if parsed.json:
        print(json.dumps(data, indent=2))
    elif not parsed.quiet:
        print_report(data, sys.stdout)
    if not parsed.quiet:
        print(f"wrote {output} ({output.stat().st_size:,} bytes)", file=sys.stderr)
    return 0


def _check_fits(compiled: CompiledModel, parsed: argparse.Namespace) -> None:
    """Refuses a model that does not fit, with the changes that would make it fit.

    Raises:
        DoesNotFit: it does not.
    """
    from ternc.compiler import check_fits
    from ternc.fitting import changes_that_fit, with_changes

    try:
        check_fits(compiled, parsed.ram, parsed.flash)
    except DoesNotFit as error:
        with console.progress("looking for what makes it fit", sys.stderr,
                              quiet=parsed.quiet) as progress:
            changes = changes_that_fit(parsed.model, compiled, options.compile_options(parsed),
                                       progress)
        raise with_changes(error, changes) from None


def compiled_model(parsed: argparse.Namespace, **more: Any) -> CompiledModel:
    """Compiles with the options of the command line, showing progress."""
    from ternc.compiler import compile

    dumper = dumper_for(parsed)
    with console.progress("calibrating", sys.stderr, quiet=parsed.quiet) as progress:
        compiled = compile(parsed.model, **options.compile_options(parsed), progress=progress,
                           observe=dumper, **more)
    if dumper is not None:
        dumper.finish(compiled)
    return compiled


def dumper_for(parsed: argparse.Namespace) -> Dumper | None:
    """What `--dump-after` and `--save-temps` ask for."""
    from ternc.dumping import Dumper

    if not parsed.dump_after and parsed.save_temps is None:
        return None
    return Dumper(parsed.dump_after, parsed.save_temps, sys.stderr)


def show_diagnostics(compiled: CompiledModel, parsed: argparse.Namespace) -> None:
    """The diagnostics of a compilation that went well."""
    if not parsed.quiet:
        console.print_diagnostics(compiled.diagnostics, sys.stderr, Path(parsed.model).name)

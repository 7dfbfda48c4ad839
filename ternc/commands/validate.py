"""`ternc validate MODEL`: whether a model deploys, fits, and answers as onnxruntime does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ternc import console, options
from ternc.commands.compile import dumper_for

if TYPE_CHECKING:
    from ternc.boards import Board
    from ternc.compiled import CompiledModel


def make_parser() -> argparse.ArgumentParser:
    """The options of validation."""
    parser = options.Parser(
        prog="ternc validate", allow_abbrev=False,
        description="Checks that a model deploys, fits, and answers as onnxruntime does.")
    parser.add_argument("model", metavar="MODEL", help="the ONNX model")
    parser.add_argument("--data", metavar="X.npz|DIR", help="samples; default seeded noise")
    parser.add_argument("--labels", metavar="Y.npy", help="their classes, to compare accuracy; "
                        "'labels' in the data serves too")
    parser.add_argument("--samples", metavar="N", type=options.positive, default=None,
                        help="how many samples to run; default all of the data, 32 of noise")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--junit", metavar="FILE", type=Path,
                        help="write the checks as JUnit XML, for a CI system")
    options.add_report(parser)
    parser.add_argument("--emulate", action="store_true", help="also run the program on the "
                        "emulated target and compare its bytes with this machine's")
    options.add_emulation_options(parser)
    _add_limits(parser)
    options.add_compile_options(parser)
    options.add_messages(parser)
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Each a field of `ternc.validation.Limits`."""
    limits = parser.add_argument_group("limits (exit code 4 where one is not held)")
    for name, kind, metavar, what in (
        ("min-agreement", options.share, "SHARE", "of samples with onnxruntime's class, as 99%%"),
        ("min-sqnr", float, "DB", "of each output, against onnxruntime"),
        ("min-layer-sqnr", float, "DB", "of each tensor along the program"),
        ("min-accuracy", options.share, "SHARE", "of right answers, with labels"),
        ("max-accuracy-drop", float, "POINTS", "below the source model; default 2"),
        ("max-saturation", options.share, "SHARE", "of a tensor's values beyond its range; "
         "default 5%% for a model quantized here"),
        ("max-latency-ms", float, "MS", "of one run"),
        ("max-arena", options.size, "SIZE", "RAM for the arena, like 32K"),
        ("max-flash", options.size, "SIZE", "weights and program"),
        ("max-stack", options.size, "SIZE", "where it is measured; default 3584, ESP-IDF's main "
         "task"),
    ):
        limits.add_argument(f"--{name}", metavar=metavar, type=kind, help=what)


def run(parsed: argparse.Namespace) -> int:
    """Validates, and prints a line for each check."""
    from ternc.compiled import write_whole
    from ternc.validation import Limits, junit, print_checks, validate

    options.check_files(Path(parsed.model), parsed.junit, parsed.report)
    dumper = dumper_for(parsed)
    limits = {field.name: getattr(parsed, field.name) for field in fields(Limits)}
    found = _every_board(parsed) if parsed.target.lower() == "all" else []
    with console.progress("validating", sys.stderr, quiet=parsed.quiet) as progress:
        result = validate(
            parsed.model, data=parsed.data, labels=parsed.labels, samples=parsed.samples,
            seed=parsed.seed, emulate=parsed.emulate, toolchain=parsed.toolchain,
            emulator=parsed.emulator, max_instructions=parsed.max_instructions,
            progress=progress, observe=dumper, **limits, **options.compile_options(parsed))
    if dumper is not None and result.compiled is not None:
        dumper.finish(result.compiled)
    if parsed.junit is not None:
        write_whole(parsed.junit, junit(result))
    if parsed.report is not None:
        from ternc.webpage import page

        write_whole(parsed.report, page(result.compiled, result).encode())
    if not parsed.quiet:
        console.print_diagnostics(result.diagnostics, sys.stderr, Path(parsed.model).name)
    if parsed.json:
        every = {"boards": [board.to_dict() for board in found]} if found else {}
        print(json.dumps({**every, **result.to_dict()}, indent=2))
    else:
        print_checks(result, sys.stdout)
    return result.exit_code


def _every_board(parsed: argparse.Namespace) -> list[Board]:
    """The model on each chip; `parsed.target` becomes the first that it fits, to be validated."""
    from ternc.boards import boards, print_boards

    given = options.compile_options(parsed)
    given.pop("target")
    with console.progress("compiling for each chip", sys.stderr, quiet=parsed.quiet) as progress:
        found = boards(parsed.model, emulate=_emulator(parsed) if parsed.emulate else None,
                       progress=progress, **given)
    parsed.target = next((board.target for board in found if board.fits), found[0].target)
    if not parsed.json:
        print_boards(found, sys.stdout)
        print()
    return found


def _emulator(parsed: argparse.Namespace) -> Callable[[CompiledModel], None]:
    def run_once(compiled: CompiledModel) -> None:
        from ternc import emulation
        from ternc.feeds import input_specs, random_feeds

        emulation.emulate(
            compiled, list(random_feeds(input_specs(compiled.model), 1, parsed.seed)),
            toolchain=parsed.toolchain, emulator=parsed.emulator,
            max_instructions=parsed.max_instructions or emulation.MAX_INSTRUCTIONS)

    return run_once

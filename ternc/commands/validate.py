"""`ternc validate MODEL`: whether a model deploys, fits, and answers as onnxruntime does."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ternc import console, options


def make_parser() -> argparse.ArgumentParser:
    """The options of validation."""
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


def run(parsed: argparse.Namespace) -> int:
    """Validates, and prints a line for each check."""
    from ternc.validation import print_checks, validate

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

"""`ternc ops`: the ONNX operators that ternc compiles, and in which precision."""

from __future__ import annotations

import argparse
import sys

from ternc import options


def make_parser() -> argparse.ArgumentParser:
    """The options of the list."""
    parser = options.list_parser("ops", "Lists the ONNX operators that ternc compiles.")
    parser.add_argument("--target", metavar="T", help="in which arithmetic the chip computes them")
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Prints the list."""
    from ternc import listing

    listing.print_operators(sys.stdout, parsed.target, json=parsed.json, markdown=parsed.markdown)
    return 0

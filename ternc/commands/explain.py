"""`ternc explain CODE`: a diagnostic at length."""

from __future__ import annotations

import argparse

from ternc import options


def make_parser() -> argparse.ArgumentParser:
    """The options of explaining."""
    parser = options.Parser(
        prog="ternc explain", allow_abbrev=False,
        description="Explains a diagnostic: why, an example, what to do. Without a code it lists "
        "them.")
    parser.add_argument("code", metavar="CODE", nargs="?", help="like TC0402")
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Prints the explanation, or the list."""
    from ternc.explanations import explain, listing

    print(listing() if parsed.code is None else explain(parsed.code), end="")
    return 0

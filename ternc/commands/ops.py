"""`ternc ops`: the ONNX operators that ternc compiles, and in which precision."""

from __future__ import annotations

import argparse
import sys

from ternc import options


def make_parser() -> argparse.ArgumentParser:
    """The options of the list."""
    return options.list_parser("ops", "Lists the ONNX operators that ternc compiles.")


def run(parsed: argparse.Namespace) -> int:
    """Prints the list."""
    from ternc import listing

    listing.print_operators(sys.stdout, json=parsed.json, markdown=parsed.markdown)
    return 0

"""`ternc targets`: the chips, with the source of each figure."""

from __future__ import annotations

import argparse
import sys

from ternc import options


def make_parser() -> argparse.ArgumentParser:
    """The options of the list."""
    return options.list_parser("targets", "Lists the chips, with the source of each figure.")


def run(parsed: argparse.Namespace) -> int:
    """Prints the list."""
    from ternc import listing

    listing.print_targets(sys.stdout, json=parsed.json, markdown=parsed.markdown)
    return 0

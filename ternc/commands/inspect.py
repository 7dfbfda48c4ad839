"""`ternc inspect FILE`: report, disassembly and memory plan of a model, program or header."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ternc import options
from ternc.commands.compile import compiled_model, show_diagnostics


def make_parser() -> argparse.ArgumentParser:
    """The options of inspection."""
    parser = options.Parser(
        prog="ternc inspect", allow_abbrev=False,
        description="Shows what is in an ONNX model, a .tern program or a generated header.")
    parser.add_argument("model", metavar="FILE", help="model.onnx, model.tern or model.h")
    parser.add_argument("--plan", action="store_true", help="draw the memory plan")
    parser.add_argument("--svg", metavar="FILE", type=Path,
                        help="write the memory plan as a picture")
    options.add_compile_options(parser)
    options.add_messages(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Prints what is in the file."""
    from ternc import inspection
    from ternc.backends.esp32.disassemble import disassemble
    from ternc.backends.esp32.encode import encode
    from ternc.compiled import write_whole
    from ternc.drawing.plan import plan_of
    from ternc.drawing.plan_svg import plan_svg
    from ternc.drawing.plan_text import plan_text
    from ternc.report import print_report

    if parsed.svg is not None:
        options.check_writable(parsed.svg, Path(parsed.model))
    blob = inspection.blob_in(Path(parsed.model))
    data: dict[str, Any] = {}
    if blob is None:
        compiled = compiled_model(parsed, check_fit=False)
        show_diagnostics(compiled, parsed)
        data, blob = compiled.report(), encode(compiled.program, names=True)
    elif parsed.json:
        data = inspection.describe(blob)
    if parsed.svg is not None:
        write_whole(parsed.svg, plan_svg(plan_of(blob), alone=True).encode())
    if parsed.json:
        print(json.dumps(data, indent=2))
        return 0
    if data:
        print_report(data, sys.stdout)
    if parsed.plan:
        print(plan_text(plan_of(blob)))
    print(disassemble(blob), end="")
    return 0

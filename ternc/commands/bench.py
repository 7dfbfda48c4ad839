"""`ternc bench MODEL`: exact instructions, stack, memory and flash on the emulated target."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ternc import console, options
from ternc.commands.compile import compiled_model, show_diagnostics

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.emulation.run import Feed
    from ternc.loaded import LoadedModel

_DEFAULT_TARGET: Final = "esp32c3"  # the default elsewhere has no RISC-V core


def make_parser() -> argparse.ArgumentParser:
    """The options of the benchmark."""
    parser = options.Parser(
        prog="ternc bench", allow_abbrev=False,
        description="Runs a model on an emulated RISC-V core: exact instructions for each layer, "
        "stack, arena, and flash by section.")
    parser.add_argument("model", metavar="MODEL", help="an ONNX model, or model.tern")
    parser.add_argument("--data", metavar="X.npz|DIR", help="samples; default seeded noise")
    parser.add_argument("--samples", metavar="N", type=options.positive, default=1,
                        help="how many to run, the slowest is shown; default %(default)s")
    options.add_emulation_options(parser)
    options.add_compile_options(parser)
    options.add_messages(parser)
    parser.set_defaults(target=_DEFAULT_TARGET)
    return parser


def run(parsed: argparse.Namespace) -> int:
    """Compiles, emulates, and prints the counts."""
    from ternc import emulation

    emulation.check_tools(parsed.toolchain, parsed.emulator)
    model = _model(parsed)
    with console.progress("emulating", sys.stderr, quiet=parsed.quiet):
        found = emulation.emulate(
            model, _feeds(model, parsed), parsed.target, toolchain=parsed.toolchain,
            emulator=parsed.emulator,
            max_instructions=parsed.max_instructions or emulation.MAX_INSTRUCTIONS)
    data = found.to_dict()
    if parsed.json:
        print(json.dumps(data, indent=2))
    else:
        print_bench(data, sys.stdout)
    return 0


def _model(parsed: argparse.Namespace) -> CompiledModel | LoadedModel:
    from ternc.loaded import load

    if Path(parsed.model).suffix == ".tern":
        return load(parsed.model)
    compiled = compiled_model(parsed)
    show_diagnostics(compiled, parsed)
    return compiled


def _feeds(model: CompiledModel | LoadedModel, parsed: argparse.Namespace) -> list[Feed]:
    from itertools import islice

    import onnx_ir as ir

    from ternc.feeds import InputSpec, input_specs, random_feeds, samples
    from ternc.loaded import LoadedModel
    from ternc.validation.evidence import device_feed

    if isinstance(model, LoadedModel):
        specs: Sequence[InputSpec] = [
            InputSpec(port.name, port.shape, ir.DataType(port.onnx_type).numpy())
            for port in model.runner.inputs]
    else:
        specs = input_specs(model.model)
    known = (random_feeds(specs, parsed.samples) if parsed.data is None
             else samples(parsed.data, specs))
    feeds = islice(known, parsed.samples)
    if isinstance(model, LoadedModel):
        return [dict(feed) for feed in feeds]
    return [dict(device_feed(model, feed)) for feed in feeds]


def print_bench(data: dict[str, Any], file: IO[str]) -> None:
    """The figures as a table."""
    from ternc.report import short

    flash = data["flash"]
    time = data["latency_ms"]["value"]
    print(f"{data['instructions']:,} instructions for one inference on {data['target']}",
          file=file)
    for name, value in (
            ("stack", f"{data['stack_bytes']:,} B"),
            ("arena", f"{data['arena_bytes']:,} B, {data['arena_used_bytes']:,} B of it touched"),
            ("flash", f"{sum(flash.values()):,} B: weights {flash['weights']:,}, program "
             f"{flash['program']:,}, kernels {flash['kernels']:,}"),
            ("latency", f"{time:.3g} ms: "
             + data["latency_ms"]["basis"].removesuffix(f"; {data['basis']}")),
            ("basis", data["basis"])):
        print(f"  {name:8} {value}", file=file)
    print(f"\n{'layer':40} {'operator':20} {'MACs':>11} {'instructions':>13} {'/MAC':>6} "
          f"{'scratch':>8}", file=file)
    for layer in data["layers"]:
        count, macs = layer["instructions"], layer["macs"]
        work = f"{macs:,}" if macs else ""
        each = f"{count / macs:.2f}" if macs else ""
        print(f"{short(layer['name']):40} {layer['op'][:20]:20} {work:>11} {count:>13,} {each:>6} "
              f"{layer['scratch_bytes']:>8,}", file=file)

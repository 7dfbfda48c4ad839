"""The sections about the compiled program: what it needs, its plan, its layers, its nodes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ternc.backends.esp32.encode import encode
from ternc.drawing.plan import plan_of
from ternc.drawing.plan_svg import plan_svg
from ternc.report import duration, precision, short
from ternc.webpage.elements import (
    Bar,
    Column,
    bars,
    legend,
    name,
    paragraph,
    section,
    table,
    text,
)
from ternc.webpage.nodes import Fate
from ternc.webpage.nodes import nodes as every_node

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel

_UNBOUNDED = 1 << 40
_FATES = {Fate.COMPUTED: "computed", Fate.MERGED: "merged into others", Fate.VIEW: "without work",
          Fate.CONSTANT: "constants", Fate.REWRITTEN: "removed or rewritten"}


def size(count: float) -> str:
    """Bytes for people."""
    if count < 10_000:
        return f"{count:,.0f} B"
    return f"{count / 1024:,.1f} KB" if count < 10 * 1024 * 1024 else f"{count / 1024**2:,.1f} MB"


def tiles(data: dict[str, Any]) -> str:
    """The figures that decide, each with what it is measured against."""
    available, latency = data["available"], data["latency_ms"]
    lower = data["arena_lower_bound_bytes"]
    weights = [f"{figures['count']:,} {kind}" for kind, figures in data["weights"].items()
               if figures["count"]]
    bound = "as small as can be" if data["arena_bytes"] == lower else f"lower bound {size(lower)}"
    made = [
        _tile("Flash, without the runtime", size(data["flash_bytes"]),
              _of(data["flash_bytes"], available["flash_bytes"]),
              data["flash_bytes"] / available["flash_bytes"]),
        _tile("Arena (RAM)", size(data["arena_bytes"]),
              f"{_of(data['arena_bytes'], available['ram_bytes'])}; {bound}",
              data["arena_bytes"] / available["ram_bytes"]),
        _tile("One inference", duration(latency["value"]), _of_time(latency["basis"])),
        _tile("Multiply-accumulates", f"{data['macs']:,}", f"{data['layer_count']} instructions"),
        _tile("Weights", size(sum(w["bytes"] for w in data["weights"].values())),
              ", ".join(weights) or "none"),
        _tile("As float32", size(data["float32_bytes"]),
              f"{data['compression']:.1f} times the flash"),
    ]
    return f'<div class="tiles">{"".join(made)}</div>'


def _of(part: float, whole: float) -> str:
    return "no limit" if whole >= _UNBOUNDED else f"{100 * part / whole:.1f} % of {size(whole)}"


def _origin(basis: str) -> str:
    """Whether instructions were counted or estimated: the rest of a time's basis stands below."""
    return "counted in an emulator" if basis.startswith("measured") else basis.split(":")[0]


def _of_time(basis: str) -> str:
    """The same of a time, which is never measured on a chip."""
    counted = _origin(basis)
    return counted if counted == "estimate" else f"instructions {counted}, by a cycle model"


def _tile(title: str, figure: str, said: str, share: float | None = None) -> str:
    track = ""
    if share is not None:
        over = ' class="over"' if share > 1 else ""
        track = f'<div class="track"><i{over} style="width:{100 * min(share, 1):.1f}%"></i></div>'
    return (f'<div class="tile"><span class="quiet small">{text(title)}</span><b>{text(figure)}'
            f'</b><span class="quiet small">{text(said)}</span>{track}</div>')


def memory(compiled: CompiledModel) -> str:
    """The picture of the memory plan, and in words what lives at the peak."""
    plan = plan_of(encode(compiled.program, names=True))
    rows = [[name(box.name), f"{box.size:,}", text(
        "scratch of a kernel" if box.use == "scratch" else
        "made in the place of an input" if box.in_place else box.use)] for box in plan.at_peak]
    return section(
        "Memory plan",
        paragraph("Time runs to the right, addresses upwards; each block is a tensor."),
        legend(("", "tensor"), ("port", "input or output"), ("stripes", "scratch of a kernel"),
               ("limit", "peak")),
        f'<figure class="wide" style="margin:0">{plan_svg(plan)}</figure>',
        paragraph(f"At the peak, {short(plan.where(plan.peak))}, {plan.peak_bytes:,} bytes are "
                  "alive:"),
        table([Column("tensor"), Column("bytes", right=True), Column("what")], rows))


def layers(data: dict[str, Any]) -> str:
    """Where the time and the flash go."""
    items = data["layers"]
    total = sum(item["instructions"] for item in items) or 1
    most = max((item["instructions"] for item in items), default=1) or 1
    time = bars(Bar(short(item["name"]), item["instructions"] / most,
                    f"{100 * item['instructions'] / total:.1f} %",
                    tip=f"{item['name']}: {item['instructions']:,} instructions")
                for item in items)
    rows = [[
        name(item["name"]), text(item["op"]), name(item["instruction"]),
        text(precision(item)), f"{item['macs']:,}" if item["macs"] else "",
        f"{item['instructions']:,}",
        f"{item['instructions'] / item['macs']:.1f}" if item["macs"] else "",
        f"{item['flash_bytes']:,}" if item["flash_bytes"] else "",
        f"{item['scratch_bytes']:,}" if item["scratch_bytes"] else "",
    ] for item in items]
    columns = [Column("layer"), Column("operator"), Column("kernel"), Column("precision"),
               *(Column(title, right=True) for title in (
                   "MACs", "instructions", "per MAC", "flash bytes", "scratch bytes"))]
    return section("Layers", paragraph(
        f"Share of the machine instructions ({_origin(data['latency_ms']['basis'])})."), time,
        paragraph(data["latency_ms"]["basis"], "quiet small"),
        f'<div class="wide">{table(columns, rows)}</div>')


def precisions(data: dict[str, Any]) -> str:
    """Each layer in execution order, coloured by its weights, named by its precision."""
    chips = []
    for item in data["layers"]:
        kind = item["weights"] or "none"
        words = precision(item)
        chips.append(f'<span class="chip {kind}" title="{text(item["name"])}: {text(words)}">'
                     f'{text(short(item["name"])[-18:])} · {text(words)}</span>')
    used = [kind for kind in ("ternary", "mixed", "int8", "float32") if any(
        item["weights"] == kind for item in data["layers"])]
    words = "In the order in which they run; weights x activations."
    if used:
        words += f" Weights here are {', '.join(used)}; layers without weights have no colour."
    return section("Precision of each layer", paragraph(words),
                   f'<div class="chips">{"".join(chips)}</div>')


def nodes(compiled: CompiledModel) -> str:
    """What became of each ONNX node."""
    found = every_node(compiled)
    rows = [[name(item.name), text(item.op_type),
             " ".join((text(item.fate.value), *map(name, item.where)))] for item in found]
    counts = Counter(item.fate for item in found)
    said = ", ".join(f"{count} {_FATES[fate]}" for fate, count in counts.most_common())
    return section(
        "What became of each node",
        paragraph(f"The {len(rows)} nodes of the model as it was given, by their own names: "
                  f"{said}."),
        table([Column("node"), Column("operator"), Column("now")], rows, plain=True))

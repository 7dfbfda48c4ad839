"""The sections about a validation: its checks, and how the numbers agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ternc.report import short
from ternc.validation.checks import Report, Verdict
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

_FULL_DB = 100.0  # the width of the plot; more is as good as equal
_WRONG_DB = 20.0
_SIDE, _EDGE = 300, 34


def checks(report: Report) -> str:
    """A line for each check."""
    rows = []
    for check in report.checks:
        kind = {Verdict.FAILED: "bad", Verdict.PASSED: "good"}.get(check.verdict, "quiet")
        notes = "".join(f'<br><span class="quiet small">{text(note)}</span>'
                        for note in check.notes)
        rows.append([f'<span class="verdict {kind}">{text(check.verdict.value)}</span>',
                     text(check.name), text(check.detail) + notes])
    return section("Checks", table([Column("verdict"), Column("check"), Column("found")], rows,
                                   plain=True))


def tensors(report: Report) -> str:
    """Signal to noise of each tensor along the program."""
    if not report.tensors:
        return ""
    losses = any(item.float_sqnr_db is not None for item in report.tensors)
    entries = [("", "against the quantized model" if losses else "against onnxruntime")]
    if losses:
        entries.append(("second", "against the float model: what quantization costs"))
    made = []
    for item in report.tensors:
        said = _decibels(item.sqnr_db)
        if item.float_sqnr_db is not None:
            said = f"{said}; {_decibels(item.float_sqnr_db)}"
        made.append(Bar(
            short(item.layer), _share(item.sqnr_db), said,
            None if item.float_sqnr_db is None else _share(item.float_sqnr_db),
            f"{item.layer} -> {item.name}: cosine {item.cosine:.5f}, worst error "
            f"{item.absolute:.3g}"))
    return section(
        "Numeric agreement, tensor by tensor",
        paragraph("Signal to noise in dB, along the program: 20 dB is an error of a tenth, 40 dB "
                  "of a hundredth. The line is at 20 dB, the right edge at 100 dB."),
        legend(*entries), bars(made, limit=_WRONG_DB / _FULL_DB))


def _share(decibels: float) -> float:
    return 1.0 if decibels == math.inf else max(decibels, 0.0) / _FULL_DB


def _decibels(value: float) -> str:
    return "equal" if value == math.inf else f"{value:.1f} dB"


def outputs(points: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Each output's values against onnxruntime's."""
    plots = "".join(_scatter(output, wanted, found)
                    for output, (wanted, found) in points.items())
    return section(
        "Outputs",
        paragraph("Each point is one element of an output for one sample: onnxruntime's value to "
                  "the right, the program's upwards. On the dashed line both are equal."),
        f'<div class="plots">{plots}</div>') if plots else ""


def _scatter(output: str, wanted: Sequence[float], found: Sequence[float]) -> str:
    pairs = [(a, b) for a, b in zip(wanted, found, strict=True)
             if math.isfinite(a) and math.isfinite(b)]
    if not pairs:
        return ""
    low = min(min(pair) for pair in pairs)
    high = max(max(pair) for pair in pairs)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return _EDGE + (value - low) / span * (_SIDE - _EDGE - 12)

    base = _SIDE - _EDGE
    dots = "".join(f'<circle cx="{at(a):.1f}" cy="{_SIDE - at(b):.1f}" r="2.5"/>'
                   for a, b in dict.fromkeys(pairs))
    return (
        f'<figure style="margin:0"><figcaption>{name(output)}</figcaption>'
        f'<svg viewBox="0 0 {_SIDE} {_SIDE}" role="img" aria-label="{text(output)}: the program '
        f'against onnxruntime"><line class="rule" x1="{_EDGE}" y1="{base}" x2="{_SIDE - 6}" '
        f'y2="{base}"/><line class="rule" x1="{_EDGE}" y1="6" x2="{_EDGE}" y2="{base}"/>'
        f'<line class="same" x1="{at(low)}" y1="{_SIDE - at(low)}" x2="{at(high)}" '
        f'y2="{_SIDE - at(high)}"/>{dots}'
        f'<text x="{_EDGE}" y="{base + 14}">{low:.3g}</text>'
        f'<text x="{_SIDE - 6}" y="{base + 14}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{(_SIDE + _EDGE) / 2}" y="{base + 28}" text-anchor="middle">onnxruntime</text>'
        f'<text transform="translate(12 {base / 2}) rotate(-90)" text-anchor="middle">program'
        f'</text><text x="{_EDGE - 4}" y="16" text-anchor="end">{high:.3g}</text>'
        f"</svg></figure>")


def weights(report: Report) -> str:
    """Which weights are ternary, and how far the others are from it."""
    rows = [[
        name(item.node), text(item.op_type), f"{item.count:,}", text(item.kind),
        f"{100 * item.zeros:.0f} %",
        "" if item.kind == "ternary" else f"{100 * item.error:.1f} %",
        "" if item.kind == "ternary" else f"{len(item.off)} of {item.channels}",
    ] for item in report.weights]
    return section(
        "Weights",
        paragraph("Zeros, and the distance from the nearest ternary weights: relative, "
                  "root mean square."),
        table([Column("node"), Column("operator"), Column("weights", right=True),
               Column("they are"), Column("zeros", right=True), Column("distance", right=True),
               Column("channels off", right=True)], rows)) if rows else ""


def ranges(report: Report) -> str:
    """What each quantized tensor can hold, and what it held."""
    rows = [[
        name(item.name), f"{item.low:.4g} to {item.high:.4g}", f"{item.least:.4g} to "
        f"{item.most:.4g}", f"{100 * item.saturated:.2f} %",
        text(", ".join(map(str, item.dead[:12]))) if item.dead else "",
    ] for item in report.ranges if item.count]
    return section(
        "Ranges of quantized tensors",
        table([Column("tensor"), Column("can hold", right=True), Column("held", right=True),
               Column("beyond", right=True), Column("dead channels")], rows)) if rows else ""

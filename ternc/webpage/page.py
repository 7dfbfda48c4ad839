"""The page: a summary first, then what it rests on."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ternc.diagnostics import Diagnostic
from ternc.webpage import agreement, program
from ternc.webpage.elements import Column, name, section, table, text
from ternc.webpage.style import CSS

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.validation import Report

# Nothing may be fetched and nothing run, whatever a model's names hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(compiled: CompiledModel | None, report: Report | None = None) -> str:
    """One HTML file, the same for the same model and options.

    Args:
        compiled: what was compiled; None when the model could not be.
        report: its validation, if there was one.
    """
    import ternc

    model, target = _subject(compiled, report)
    parts = [_head(model), f'<h1><span class="name">{text(model)}</span> for {text(target)}</h1>',
             f'<p class="quiet">compiled by ternc {text(ternc.__version__)}</p>']
    if report is not None:
        parts.append(_verdict(report))
    data = None if compiled is None else compiled.report()
    if data is not None:
        parts.append(program.tiles(data))
    if report is not None:
        parts.append(agreement.checks(report))
    diagnostics = report.diagnostics if report is not None else (
        tuple(compiled.diagnostics) if compiled is not None else ())
    parts.append(_messages(diagnostics))
    if compiled is not None and data is not None:
        parts += [program.memory(compiled), program.layers(data), program.precisions(data)]
    if report is not None:
        parts += [agreement.weights(report), agreement.tensors(report),
                  agreement.outputs(report.points), agreement.ranges(report)]
    if compiled is not None:
        parts.append(program.nodes(compiled))
    parts.append("</body></html>\n")
    return "\n".join(part for part in parts if part)


def _subject(compiled: CompiledModel | None, report: Report | None) -> tuple[str, str]:
    if report is not None:
        return report.model, report.target
    assert compiled is not None
    return compiled.name, compiled.target.name


def _head(model: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(model)}: ternc report</title><style>{CSS}</style></head><body>")


def _verdict(report: Report) -> str:
    failed = [check.name for check in report.checks if check.failed]
    if failed:
        return (f'<p class="verdict bad">{len(failed)} of {len(report.checks)} checks failed: '
                f"{text(', '.join(failed))}</p>")
    skipped = sum(check.verdict.name == "SKIPPED" for check in report.checks)
    more = f", {skipped} skipped" if skipped else ""
    return f'<p class="verdict good">all {len(report.checks) - skipped} checks passed{more}</p>'


def _messages(items: tuple[Diagnostic, ...]) -> str:
    rows = [[
        text(f"{item.severity.value} {item.code}"),
        (f"{name(item.node)}: " if item.node else "") + text(item.message)
        + "".join(f'<br><span class="quiet small">{text(note)}</span>' for note in item.notes)
        + (f'<br><span class="small">help: {text(item.help)}</span>' if item.help else ""),
    ] for item in items]
    if not rows:
        return ""
    return section("Messages", table([Column("kind"), Column("message")], rows, plain=True))

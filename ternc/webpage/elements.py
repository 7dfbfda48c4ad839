"""Pieces of HTML: everything that comes from a model is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ternc.report import short


def text(value: object) -> str:
    """Any value as text that HTML shows as it is."""
    return escape(str(value))


def name(value: str) -> str:
    """A name out of the model, shortened; all of it shows under the pointer."""
    shown = short(value)
    tip = "" if shown == value else f' title="{escape(value)}"'
    return f'<span class="name"{tip}>{escape(shown)}</span>'


def section(title: str, *parts: str) -> str:
    """A heading with what belongs to it; nothing when there is nothing."""
    body = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def paragraph(words: str, kind: str = "quiet") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(words)}</p>'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `right` for numbers."""

    title: str
    right: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], *, plain: bool = False
) -> str:
    """A table of cells that are HTML already; on a phone each row becomes a block.

    There each cell says what it is, unless the table is `plain`.
    """
    head = "".join(f'<th{_side(column)} scope="col">{escape(column.title)}</th>'
                   for column in columns)
    body = "".join(
        "<tr>" + "".join(
            f'<td{_side(column)} data-title="{escape(column.title)}">{cell}</td>'
            for column, cell in zip(columns, row, strict=True)) + "</tr>" for row in rows)
    kind = "stack plain" if plain else "stack"
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _side(column: Column) -> str:
    return ' class="right"' if column.right else ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its label and its value in words; shares are of the whole width."""

    label: str
    share: float
    said: str
    second: float | None = None
    tip: str = ""


def bars(items: Iterable[Bar], *, limit: float | None = None) -> str:
    """Horizontal bars, each with its value beside it; `limit` is a line across them."""
    line = "" if limit is None else f'<u style="left:{100 * limit:.2f}%"></u>'
    rows = []
    for item in items:
        second = "" if item.second is None else (
            f'<i class="second" style="width:{_percent(item.second)}"></i>')
        rows.append(
            f'<span class="label name" title="{escape(item.tip or item.label)}">'
            f"<bdi>{escape(item.label)}</bdi></span>"
            f'<span class="bar"><i style="width:{_percent(item.share)}"></i>{second}{line}</span>'
            f'<span class="small">{escape(item.said)}</span>')
    return f'<div class="bars">{"".join(rows)}</div>' if rows else ""


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def legend(*entries: tuple[str, str]) -> str:
    """(class of the key, words) each."""
    keys = "".join(f'<span><span class="key {kind}"></span>{escape(words)}</span>'
                   for kind, words in entries)
    return f'<p class="legend quiet small">{keys}</p>'

"""What goes to the terminal besides data: diagnostics as rustc prints them, and progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Final

from ternc.diagnostics import Diagnostic, Severity

_RESET: Final = "\x1b[0m"
_BOLD: Final = "\x1b[1m"
_COLOURS: Final = {
    Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.NOTE: "\x1b[1;36m",
}


def coloured(file: IO[str]) -> bool:
    """Whether to use colour: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_diagnostics(items: Iterable[Diagnostic], file: IO[str], model: str = "") -> None:
    """Prints diagnostics, errors last so that they stay in sight."""
    order = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
    colour = coloured(file)
    for item in sorted(items, key=lambda item: order[item.severity]):
        text = item.render(model)
        if colour:
            head = f"{item.severity.value}[{item.code}]"
            text = text.replace(head, f"{_COLOURS[item.severity]}{head}{_RESET}", 1)
            text = text.replace("\n  help:", f"\n  {_BOLD}help:{_RESET}")
        file.write(text + "\n")


@contextmanager
def progress(
    what: str, file: IO[str], *, quiet: bool
) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields what to call with (done, total)."""
    if quiet or not file.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=file), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

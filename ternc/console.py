"""What goes to the terminal besides data: diagnostics as rustc prints them, and progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import IO, TYPE_CHECKING, Final

from ternc.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE: Final = 2.0  # seconds without a progress bar
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
    """A progress bar on a terminal, nothing elsewhere; yields what to call with (done, total).

    It appears when two seconds have passed: what is done before then needs none.
    """
    if quiet or not file.isatty():
        yield lambda done, total: None
        return
    bar = _Bar(what, file)
    try:
        yield bar.show
    finally:
        bar.stop()


class _Bar:
    """rich's bar, which a timer brings up; it moves where the work says how far it is."""

    def __init__(self, what: str, file: IO[str]) -> None:
        self._what, self._file = what, file
        self._lock = Lock()
        self._stopped = False
        self._bar: Progress | None = None
        self._seen: tuple[int, int | None] = (0, None)
        self._timer = Timer(PATIENCE, self._appear)
        self._timer.daemon = True
        self._timer.start()

    def show(self, done: int, total: int | None) -> None:
        """Takes in how far the work is."""
        with self._lock:
            self._seen = done, total
            self._update()

    def stop(self) -> None:
        """Takes the bar off the terminal; it does not appear any more."""
        self._timer.cancel()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
            self._stopped = True

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        with self._lock:
            if self._stopped:
                return
            self._bar = Progress(console=Console(file=self._file), transient=True)
            self._bar.add_task(self._what, total=None)
            self._bar.start()
            self._update()

    def _update(self) -> None:
        if self._bar is not None:
            done, total = self._seen
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

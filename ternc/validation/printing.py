"""A validation for people: a line for each check, then the verdict."""

from __future__ import annotations

from typing import IO

from ternc.validation.checks import Report, Verdict

_COLOURS = {Verdict.PASSED: "\x1b[32m", Verdict.FAILED: "\x1b[31m",
            Verdict.INFORMATION: "\x1b[36m", Verdict.SKIPPED: "\x1b[33m"}


def print_checks(report: Report, file: IO[str]) -> None:
    """A line for each check, then the verdict."""
    from ternc.console import coloured

    colours, plain = (_COLOURS, "\x1b[0m") if coloured(file) else (dict.fromkeys(Verdict, ""), "")
    width = max(len(check.name) for check in report.checks)
    print(f"{report.model} for {report.target}", file=file)
    for check in report.checks:
        word = check.verdict.value
        mark = f"{colours[check.verdict]}{word}{plain}{' ' * (7 - len(word))}"
        print(f"  {mark} {check.name:{width}}  {check.detail}", file=file)
        for note in check.notes:
            print(f"  {'':7} {'':{width}}  {note}", file=file)
    failed = sum(check.failed for check in report.checks)
    skipped = sum(check.verdict is Verdict.SKIPPED for check in report.checks)
    left_out = f", {skipped} skipped" if skipped else ""
    good, bad = colours[Verdict.PASSED], colours[Verdict.FAILED]
    print(f"{bad}{failed} of {len(report.checks)} checks failed{plain}{left_out}" if failed else
          f"{good}all {len(report.checks) - skipped} checks passed{plain}{left_out}", file=file)

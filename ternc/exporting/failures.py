"""What a framework's exporter raises, as a diagnostic."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from typing import Final

from ternc.diagnostics import CompileError, Diagnostic, TerncError, UsageError

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.contextmanager
def exporting(framework: str, extra: str) -> Iterator[None]:
    """Turns what an exporter raises into a diagnostic, and keeps it from printing."""
    try:
        with warnings.catch_warnings(), _unlogged("tf2onnx"), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                yield
    except TerncError:
        raise
    except ImportError as error:
        missing = error.name or str(error)
        raise UsageError((Diagnostic(
            "TC0008", f"to export from {framework}, a package is missing: {missing}",
            help=f"pip install 'ternc[{extra}]'"),)) from error
    except Exception as error:
        lines = [line for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
        raise CompileError((Diagnostic(
            "TC0008", f"{framework} cannot export the model: {type(error).__name__}: "
            f"{lines[0] if lines else 'no reason given'}",
            notes=tuple(lines[1:4]),
            help="the exception's __cause__ has all of it; or export the model to ONNX yourself "
            "and pass the file"),)) from error


@contextlib.contextmanager
def _unlogged(name: str) -> Iterator[None]:
    """Its errors are about operators that are mended afterwards, or reported with their node."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)

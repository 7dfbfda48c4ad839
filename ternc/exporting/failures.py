"""What a framework's exporter raises, as a diagnostic."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any, Final

from ternc.diagnostics import CompileError, Diagnostic, TerncError, UsageError

_LOGGERS: Final = (
    "onnxscript",  # what it does not fold
    "tf2onnx",  # operators that it does not know
    "torch.onnx._internal.exporter._registration",  # that torchvision is not installed
)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.contextmanager
def exporting(framework: str, extra: str) -> Iterator[None]:
    """Turns what an exporter raises into a diagnostic, and keeps it from printing."""
    try:
        with warnings.catch_warnings(), _unlogged(), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                yield
    except TerncError:
        raise
    except ImportError as error:
        missing = error.name or str(error)
        raise UsageError((Diagnostic(
            "TC0008", f"to export from {framework}, a package is missing: {missing}",
            help=f"pip install {_distribution(missing, extra)}"),)) from error
    except Exception as error:
        reason, notes = _reason(error)
        raise CompileError((Diagnostic(
            "TC0008", f"{framework} cannot export the model: {reason}", notes=notes,
            help="the exception's __cause__ has all of it; or export the model to ONNX yourself "
            "and pass the file"),)) from error


def _distribution(missing: str, extra: str) -> str:
    """What brings the package `missing`: this package's extra, if it is of those."""
    name = missing.partition(".")[0]
    of_extra = {
        re.split(r"[^\w-]", needed)[0] for needed in metadata.requires("ternc") or ()
        if needed.endswith(f'extra == "{extra}"')}
    return f"'ternc[{extra}]'" if name in of_extra or not name.isidentifier() else name


@contextlib.contextmanager
def called_with(inputs: Iterable[Any]) -> Iterator[None]:
    """Turns what a model raises when it is called with example inputs into a diagnostic."""
    try:
        yield
    except Exception as error:
        reason, notes = _reason(error)
        shapes = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in inputs)
        raise UsageError((Diagnostic(
            "TC0403", f"the model cannot be called with example inputs of shape {shapes}: "
            f"{reason}", notes=notes,
            help="example_inputs are what the model takes: one sample, with its batch of one"),
        )) from error


def _reason(error: Exception) -> tuple[str, tuple[str, ...]]:
    """What an exception says, in a line; and the lines that follow, three at most."""
    lines = [line for line in _COLOURS.sub("", str(error)).splitlines()
             if line.strip() and not line.startswith("Exception encountered when calling")]
    first = lines[0] if lines else "no reason given"
    return f"{type(error).__name__}: {first}", tuple(lines[1:4])


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """What exporters log is mended afterwards, reported with its node, or nobody's concern."""
    before = [(logger, logger.level) for logger in map(logging.getLogger, _LOGGERS)]
    for logger, _ in before:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)

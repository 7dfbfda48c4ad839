"""What the user is told of mixed precision: a limit that cannot hold, or that proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ternc.diagnostics import Diagnostic, Diagnostics, Severity
from ternc.mixed.result import Point
from ternc.mixed.search import Choice, Search

if TYPE_CHECKING:
    from ternc.precision import Precision


def _unit(search: Search) -> str:
    return "points of accuracy" if search.measure == "accuracy" else "dB"


def cannot_hold(search: Search, precision: Precision) -> Diagnostic:
    """By how much the limit was missed, and with what."""
    assert precision.max_drop is not None
    drop, nearest = min(((search.overall(choice).value, choice) for choice in search.choices),
                        key=lambda pair: pair[0])
    limit, unit = precision.max_drop, _unit(search)
    wide = f" and {len(nearest.wide)} of int16 activations" if nearest.wide else ""
    kinds, way = "ternary and int8 layers", "take --activations int16, "
    if precision.activations == "auto":
        kinds, way = f"{kinds}, not with int16 activations either,", ""
    return Diagnostic(
        "TC0208", f"no choice of {kinds} loses at most {limit:g} {unit}",
        notes=(f"nearest: {drop:.2f} {unit} with {len(nearest.ternary)} ternary layers{wide} "
               f"({nearest.price.flash_bytes:,} bytes), {drop - limit:.2f} too much",),
        help=f"allow --max-drop {np.ceil(drop * 10) / 10:g}, {way}keep layers in float32 "
             "(--keep float32:NODE), or give more calibration samples")


def not_sure(search: Search, found: Choice, limit: float) -> Diagnostic:
    """What the samples prove of the choice that is taken all the same."""
    overall, confirmed = search.overall(found), search.confirmed(found)
    unit = _unit(search)
    return Diagnostic(
        "TC0209", f"the limit of {limit:g} {unit} holds on the {overall.samples} samples "
        "measured, but so few do not prove it", Severity.WARNING,
        notes=(f"measured: {overall.value:.2f} {unit}; with 95 % confidence on samples that chose "
               f"nothing: at most {confirmed.bound:.2f}",),
        help="give more labelled samples to measure on (--data), or a wider limit")


def nothing_saved(search: Search, diagnostics: Diagnostics, points: Iterable[Point],
                  chosen: Point, precision: Precision) -> None:
    """The least limit that would have saved something."""
    def saves(point: Point) -> bool:
        if point.int16 != chosen.int16:
            return False
        if precision.minimize == "flash":
            return point.flash_bytes < chosen.flash_bytes
        return point.instructions < chosen.instructions

    nearest = min(filter(saves, points), key=lambda p: p.drop, default=None)
    if nearest is None:
        return
    more = "other " if chosen.ternary else ""
    diagnostics.note(
        "TC0210", f"no {more}layer became ternary: none loses at most {precision.max_drop:g} "
        f"{_unit(search)}",
        notes=(f"nearest: {nearest.drop:.2f} {_unit(search)} with {len(nearest.ternary)} ternary "
               f"layers, {nearest.flash_bytes:,} instead of {chosen.flash_bytes:,} bytes",),
        help="widen --max-drop to what the application can bear, or train with ternc.qat"
        + ("; for a classifier, labels or --labels model measure answers instead of noise"
           if search.measure == "sqnr" else ""))

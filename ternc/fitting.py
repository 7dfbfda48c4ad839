"""For a model that does not fit: the cheapest changes with which it would, by compiling with them.

A change costs, in this order: time (-O size), a small loss (int16 or int8 activations, int8
weights), other hardware (external RAM, another chip), a larger loss (ternary weights). Changes
that only fit together cost more than either. Sizes do not depend on the numbers in the calibration
data, so without any they are found with noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ternc.diagnostics import CompileError, Diagnostic, DoesNotFit, UsageError

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.frontend import Source

SHOWN: Final = 3
_SAMPLES: Final = 2  # of noise, where there is no calibration data
_DATA: Final = "--calibration samples.npz"


@dataclass(frozen=True, slots=True)
class Change:
    """One change and what the model then needs; `milliseconds` is an estimate, None if unknown."""

    words: str
    cost: float
    arena_bytes: int
    flash_bytes: int
    milliseconds: float | None

    def __str__(self) -> str:
        from ternc.report import duration

        time = "" if self.milliseconds is None else f", {duration(self.milliseconds)} (estimate)"
        return (f"it fits with {self.words}: arena {self.arena_bytes:,} B, flash "
                f"{self.flash_bytes:,} B{time}")


@dataclass(frozen=True, slots=True)
class _Option:
    """A change to the options of `compile`; `parts` are the single changes in it."""

    words: str
    cost: float
    options: Mapping[str, Any]
    parts: frozenset[str] = field(default_factory=frozenset)


def changes_that_fit(
    source: Source, compiled: CompiledModel, options: Mapping[str, Any],
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Change]:
    """The cheapest changes, at most three, each of which makes the model fit.

    Args:
        source: the model.
        compiled: what it was compiled to, with `options`.
        options: the arguments of `ternc.compile`, `ram` and `flash` among them.
        progress: called with (changes tried, changes in all).
    """
    tries = [*_options(compiled, options), *_other_chips(compiled, options)]
    found: list[Change] = list(_external_ram(compiled, options))
    fitting: list[frozenset[str]] = []
    for done, option in enumerate(tries):
        if progress is not None:
            progress(done, len(tries))
        if any(parts <= option.parts for parts in fitting):
            continue  # a part of it is enough
        made = _compiled(source, {**options, **option.options})
        if made is not None and _fits(made, {**options, **option.options}):
            fitting.append(option.parts)
            found.append(_change(option, made))
    found.sort(key=lambda change: (int(change.cost), change.milliseconds or 0.0))
    return found[:SHOWN]


def _options(compiled: CompiledModel, options: Mapping[str, Any]) -> Iterator[_Option]:
    """Single changes first, then what they are together."""
    single: list[_Option] = []
    if options.get("optimize", "default") != "size":
        single.append(_Option("-O size", 0, {"optimize": "size"}, frozenset({"size"})))
    if _is_float(compiled) and options.get("activations", "auto") in ("auto", "float32"):
        data = {"calibration_data": options.get("calibration_data") or _noise(compiled)}
        single += [
            _Option(f"{_DATA} (int8)", 1.1, {"activations": "int8", **data}, frozenset({"int8"})),
            _Option(f"{_DATA} --activations int16", 1.0, {"activations": "int16", **data},
                    frozenset({"int16"})),
        ]
        if options.get("weights", "auto") == "auto":
            single.append(_Option("--weights int8", 1.05, {"weights": "int8"},
                                  frozenset({"weights"})))
    if not options.get("ternarize") and options.get("weights", "auto") == "auto" \
            and options.get("max_drop") is None:
        single.append(_Option("--ternarize", 4, {"ternarize": "optimal"},
                              frozenset({"ternary"})))
    yield from single
    by_name = {next(iter(option.parts)): option for option in single}
    for names in (("int8", "size"), ("ternary", "size"), ("int8", "ternary"),
                  ("int8", "ternary", "size")):
        parts = [by_name[name] for name in names if name in by_name]
        if len(parts) == len(names):
            merged: dict[str, Any] = {}
            for part in parts:
                merged.update(part.options)
            yield _Option(" ".join(part.words for part in parts),
                          sum(part.cost for part in parts) + 0.5, merged, frozenset(names))


def _other_chips(compiled: CompiledModel, options: Mapping[str, Any]) -> Iterator[_Option]:
    """The chip with the least RAM that holds the model, where the user set no limit of his own."""
    from ternc.backends.esp32.targets import TARGETS

    if options.get("ram") is not None or options.get("flash") is not None:
        return
    able = [item for item in TARGETS if item.name != "host" and
            item.sram_bytes >= compiled.plan.arena_bytes and
            item.flash_bytes >= compiled.flash_bytes]
    for item in sorted(able, key=lambda item: item.sram_bytes)[:1]:
        yield _Option(f"--target {item.name}", 2.5, {"target": item.name},
                      frozenset({item.name}))


def _external_ram(compiled: CompiledModel, options: Mapping[str, Any]) -> Iterator[Change]:
    """The arena as it is, in PSRAM: nothing to compile, and no estimate of how much slower."""
    chip = compiled.target
    flash = chip.flash_bytes if options.get("flash") is None else options["flash"]
    if chip.psram_bytes >= compiled.plan.arena_bytes and compiled.flash_bytes <= flash:
        yield Change(f"--ram {chip.psram_bytes >> 20}M and the arena in external RAM, which is "
                     f"slower (modules with {chip.name} have up to {chip.psram_bytes >> 20} MB)",
                     2.0, compiled.plan.arena_bytes, compiled.flash_bytes, None)


def _is_float(compiled: CompiledModel) -> bool:
    return not any(node.op_type == "QuantizeLinear" for node in compiled.model.graph)


def _noise(compiled: CompiledModel) -> list[dict[str, Any]]:
    from ternc.feeds import input_specs, random_feeds

    return list(random_feeds(input_specs(compiled.model), _SAMPLES))


def _compiled(source: Source, options: dict[str, Any]) -> CompiledModel | None:
    from ternc.compiler import compile

    try:
        return compile(source, **{**options, "check_fit": False})
    except (CompileError, UsageError):
        return None  # this change is not possible


def _fits(compiled: CompiledModel, options: Mapping[str, Any]) -> bool:
    from ternc.compiler import check_fits

    try:
        check_fits(compiled, options.get("ram"), options.get("flash"))
    except DoesNotFit:
        return False
    return True


def _change(option: _Option, made: CompiledModel) -> Change:
    from ternc.backends.esp32 import cost

    time = cost.estimate(made.program, made.target).milliseconds
    return Change(option.words, option.cost, made.plan.arena_bytes, made.flash_bytes, time)


def with_changes(error: DoesNotFit, changes: list[Change]) -> DoesNotFit:
    """The error with what would make the model fit, in place of general advice."""
    *others, last = error.diagnostics
    words = "take one of these, or shrink the input" if changes else (
        "no single option makes it fit: shrink the input or the network")
    help_ = f"{words}; `ternc inspect --plan` draws the memory plan"
    notes = (*last.notes, *map(str, changes))
    return DoesNotFit((*others, Diagnostic(last.code, last.message, last.severity, notes=notes,
                                           help=help_)))

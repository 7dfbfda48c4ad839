"""What the conversion of a whole model leaves as it is, and what it says that it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

Skip: TypeAlias = "str | type | Iterable[str | type] | Callable[[str, Any], bool]"
"""Names, patterns of names, types, or a function of name and layer."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did, by layer name; printing it gives one line per layer."""

    converted: Mapping[str, str]
    """Name to the layer's new type."""
    skipped: Mapping[str, str]
    """Layers that could have been converted, and why they were not."""
    unsupported: Mapping[str, str]
    """Layers with weights of their own that have no ternary form, left as they were."""

    def __str__(self) -> str:
        groups = (
            ("ternary", self.converted), ("skipped", self.skipped),
            ("left as it was", self.unsupported))
        return "\n".join(
            f"{name}: {what} ({detail})" for what, group in groups
            for name, detail in group.items())


class Skipping:
    """Answers whether a layer is to be left, and remembers which entries ever matched.

    `separator` stands between the name of a layer and those of the layers in it.
    """

    def __init__(self, skip: Skip, separator: str) -> None:
        self.separator = separator
        self.function: Callable[[str, Any], bool] | None = None
        self.entries: list[str | type] = []
        if isinstance(skip, (str, type)):
            self.entries = [skip]
        elif callable(skip):
            self.function = skip
        else:
            self.entries = list(skip)
        self.unused = {entry for entry in self.entries if isinstance(entry, str)}

    def reason(self, name: str, *layers: Any) -> str:
        """Why a layer, or the wrapper around it that comes first, is left; "" if it is not."""
        if self.function is not None and self.function(name, layers[0]):
            return "skip"
        for entry in self.entries:
            if isinstance(entry, str):
                inside = name.startswith(f"{entry}{self.separator}")
                if name == entry or inside or fnmatchcase(name, entry):
                    self.unused.discard(entry)
                    return f"skip={entry!r}"
            elif any(isinstance(layer, entry) for layer in layers):
                return f"skip={entry.__name__}"
        return ""

    def check(self) -> None:
        """Raises ValueError when a name or pattern matched no layer."""
        if self.unused:
            names = ", ".join(repr(entry) for entry in sorted(self.unused))
            raise ValueError(f"skip matches no layer: {names}")

"""Which layers a conversion leaves as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

Skip: TypeAlias = "str | type | Iterable[str | type] | Callable[[str, Any], bool]"
"""Names, patterns of names, types, or a function of name and layer."""


class Skipping:
    """Answers whether a layer is to be left, and remembers which entries ever matched."""

    def __init__(self, skip: Skip) -> None:
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
                if name == entry or name.startswith(f"{entry}/") or fnmatchcase(name, entry):
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

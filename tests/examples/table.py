"""The accuracy table of README.md, from the lines that accuracy.py and accuracy_keras.py wrote.

    python -m tests.examples.table runs

Each figure is the mean over seeds, with the least and the largest behind it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("task", "network", "epochs", "seeds", "as trained, float activations",
           "compiled, int8 activations", "flash, bytes", "arena, bytes")


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def spread(values: list[float]) -> str:
    """Mean and range in percent."""
    if not values:
        return "-"
    mean, low, high = (100 * v for v in (sum(values) / len(values), min(values), max(values)))
    return f"{mean:.2f} ({low:.2f}–{high:.2f})"  # noqa: RUF001 - a range


def rows(folder: Path) -> list[list[str]]:
    """A row per task and network."""
    table: list[list[str]] = []
    for path in sorted(folder.glob("*-programs.jsonl")):
        # a network that was compiled again, or trained again, counts once: the last line holds
        programs = list({(row["variant"], row["ternarized"], row["seed"]): row
                         for row in lines(path) if row["split"] == "test"}.values())
        if not programs:  # trials, on held-out training samples
            continue
        task = programs[0]["task"]
        trained = list({(row["variant"], row["seed"]): row
                        for row in lines(folder / f"{task}.jsonl")
                        if row["split"] == "test"}.values())
        kinds = list(dict.fromkeys((row["variant"], row["ternarized"]) for row in programs))
        for variant, ternarized in sorted(kinds, key=lambda kind: (kind[0], kind[1])):
            chosen = [row for row in programs
                      if (row["variant"], row["ternarized"]) == (variant, ternarized)]
            runs = [row for row in trained if row["variant"] == variant]
            name = f"{variant}, ternarized after training" if ternarized else variant
            table.append([
                task, name, str(runs[0]["epochs"]), str(len(chosen)),
                "-" if ternarized else spread([row["accuracy"] for row in runs]),
                spread([row["program_accuracy"] for row in chosen]),
                f"{max(row['flash_bytes'] for row in chosen):,}",
                f"{max(row['arena_bytes'] for row in chosen):,}"])
    return table


def main() -> None:
    table = [list(COLUMNS), ["---"] * len(COLUMNS), *rows(Path(sys.argv[1]))]
    print("\n".join(f"| {' | '.join(row)} |" for row in table))


if __name__ == "__main__":
    main()

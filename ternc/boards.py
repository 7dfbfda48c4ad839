"""One model on every chip: does it fit, how fast would it be, and in which arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from ternc.diagnostics import CompileError

if TYPE_CHECKING:
    from ternc.backends.esp32.targets import Target
    from ternc.compiled import CompiledModel
    from ternc.frontend import Source

Arithmetic = Literal["integer", "float with FPU", "soft float"]


@dataclass(frozen=True, slots=True)
class Board:
    """A model on one chip; `arithmetic` counts instructions, `floats` names their operators.

    `refused` says why there is no program.
    """

    target: str
    fits: bool
    flash_bytes: int = 0
    flash_available: int = 0
    arena_bytes: int = 0
    ram_available: int = 0
    milliseconds: float | None = None
    basis: str = ""
    arithmetic: tuple[tuple[Arithmetic, int], ...] = ()
    floats: tuple[str, ...] = ()
    refused: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "target": self.target, "fits": self.fits, "flash_bytes": self.flash_bytes,
            "flash_available": self.flash_available, "arena_bytes": self.arena_bytes,
            "ram_available": self.ram_available,
            "latency_ms": {"value": self.milliseconds, "basis": self.basis},
            "arithmetic": dict(self.arithmetic), "float_operators": list(self.floats),
            "refused": self.refused,
        }


def boards(
    model: Source, *, ram: int | None = None, flash: int | None = None,
    emulate: Callable[[CompiledModel], None] | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None, **options: Any
) -> list[Board]:
    """Compiles `model` for every chip; options as for `ternc.compile`.

    Args:
        model: the model.
        ram: usable bytes of RAM, instead of each chip's.
        flash: usable bytes of flash, instead of each chip's.
        emulate: called with the program of each chip with a RISC-V core; sets its `emulation`.
        progress: called with (chips done, chips in all).
        options: the rest of `compile`'s.

    Raises:
        UsageError: an option is not valid.
    """
    from ternc.backends.esp32.targets import TARGETS
    from ternc.compiler import compile

    found: list[Board] = []
    chips = [chip for chip in TARGETS if chip.isa != "host"]
    for chip in chips:
        progress(len(found), len(chips))
        try:
            made = compile(model, chip.name, ram=ram, flash=flash,
                           **{**options, "check_fit": False})
        except CompileError as error:
            errors = [item for item in error.diagnostics if item.severity.value == "error"]
            found.append(Board(chip.name, False, refused=errors[0].message))
            continue
        if emulate is not None and chip.isa.startswith("rv32"):
            emulate(made)
        found.append(_board(made, chip, ram, flash))
    return found


def _board(made: CompiledModel, chip: Target, ram: int | None, flash: int | None) -> Board:
    from ternc.backends.esp32.program import DType
    from ternc.report import latency_of

    have_ram = chip.sram_bytes if ram is None else ram
    have_flash = chip.flash_bytes if flash is None else flash
    time = latency_of(made)
    soft: Arithmetic = "float with FPU" if chip.fpu else "soft float"
    counts: Counter[Arithmetic] = Counter()
    floats: dict[str, None] = {}
    for item in made.program.instructions:
        moves = item.opcode.name in ("copy_nd", "fill", "gather")
        if not moves and any(t.dtype is DType.F32 for t in (*item.reads, *item.writes)):
            counts[soft] += 1
            floats[item.op_type] = None
        else:
            counts["integer"] += 1
    return Board(
        chip.name, made.plan.arena_bytes <= have_ram and made.flash_bytes <= have_flash,
        made.flash_bytes, have_flash, made.plan.arena_bytes, have_ram, time.milliseconds,
        time.basis, tuple(sorted(counts.items())), tuple(floats))


def print_boards(found: Sequence[Board], file: IO[str], *, markdown: bool = False) -> None:
    """A row for each chip, then on what the latencies stand."""
    from ternc.listing import print_table
    from ternc.report import duration

    rows = []
    for board in found:
        if board.refused:
            rows.append([board.target, "no", "", "", "", board.refused])
            continue
        rows.append([
            board.target, "yes" if board.fits else "no",
            f"{board.flash_bytes:,} B ({_share(board.flash_bytes, board.flash_available)})",
            f"{board.arena_bytes:,} B ({_share(board.arena_bytes, board.ram_available)})",
            duration(board.milliseconds),
            ", ".join(f"{count} {kind}" for kind, count in board.arithmetic)])
    print_table(file, ("target", "fits", "flash", "arena", "latency", "layers"), rows,
                markdown=markdown)
    bases = dict.fromkeys(board.basis for board in found if board.basis)
    names = {basis: [b.target for b in found if b.basis == basis] for basis in bases}
    print("", *(f"{', '.join(names[basis])}: {basis}" for basis in bases), sep="\n", file=file)
    floats = list(dict.fromkeys(name for board in found for name in board.floats))
    if floats:
        print(f"in float32: {', '.join(floats)}", file=file)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "no room"

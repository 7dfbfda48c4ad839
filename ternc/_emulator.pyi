"""Counts what an emulated program executes."""

from typing import Self

class Counter:
    """Counts the instructions of emulated code, block by block, in unicorn's callbacks.

    `starts` has a byte for each halfword of the code from `base` on, 1 where an instruction
    begins; `stop` is the address of unicorn's uc_emu_stop, called when more than `limit`
    instructions were executed or the program left its code. Code and reads from flash go through
    one cache that replaces the least recently used of its ways.
    """

    def __new__(
        cls, base: int, starts: bytes, limit: int, stop: int, cache_bytes: int, ways: int,
        line_bytes: int,
    ) -> Self: ...
    @property
    def block_hook(self) -> int:
        """Address of the function for UC_HOOK_BLOCK."""

    @property
    def read_hook(self) -> int:
        """Address of the function for UC_HOOK_MEM_READ."""

    @property
    def access_hook(self) -> int:
        """Address of a function for UC_HOOK_MEM_READ and _WRITE that looks at alignment."""

    @property
    def address(self) -> int:
        """What the functions take as user data; valid while this object is."""

    @property
    def instructions(self) -> int:
        """Executed since the beginning."""

    @property
    def unaligned(self) -> int:
        """Accesses to addresses that are no multiple of their size, where that was looked at."""

    @property
    def outside(self) -> bool:
        """Whether the program left its code."""

    def take(self) -> tuple[bytes, int, int, int]:
        """What was counted since the last call.

        A signed 64-bit number for each halfword, whose running sum says how often it was
        executed; branches and jumps taken; cache misses of code; cache misses of data.
        """

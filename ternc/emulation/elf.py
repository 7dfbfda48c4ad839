"""Reads a statically linked 32-bit ELF file: what to load where, and which symbol is where."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT: Final = struct.Struct("<8I")
_SECTION: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")
_LOAD, _SYMBOLS, _NO_BITS = 1, 2, 8  # PT_LOAD, SHT_SYMTAB, SHT_NOBITS
_ALLOCATED = 2  # SHF_ALLOC


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes to be placed at an address."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the program in memory; `data` is empty where memory starts as zeros."""

    name: str
    address: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A program; `symbols` maps a name to its address and size in bytes."""

    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    symbols: Mapping[str, tuple[int, int]]

    def address(self, symbol: str) -> int:
        """Where a symbol is."""
        return self.symbols[symbol][0]

    def section(self, name: str) -> Section:
        """The section called `name`; an empty one where the linker left it out."""
        return next((s for s in self.sections if s.name == name), Section(name, 0, 0, b""))

    def place(self, address: int) -> str:
        """Where an address is, in words: in which function, or just the address."""
        inside = any(s.data and s.address <= address < s.address + s.size for s in self.sections)
        before = [(start, name) for name, (start, _) in self.symbols.items()
                  if start <= address and not name.startswith(("$", "."))]  # no compiler's labels
        if not inside or not before:
            return f"at 0x{address:08x}"
        return f"in {max(before)[1]} (0x{address:08x})"


def read_elf(data: bytes) -> Image:
    """The image in an ELF file of a 32-bit little-endian machine.

    Raises:
        ValueError: it is something else.
    """
    if len(data) < _HEADER.size or data[:6] != b"\x7fELF\x01\x01":
        raise ValueError("not a 32-bit little-endian ELF file")
    head = _HEADER.unpack_from(data)
    entry, segments_at, sections_at = head[4:7]
    segment_count, section_count, names_index = head[10], head[12], head[13]
    segments = []
    for i in range(segment_count):
        kind, offset, address, _, size, *_ = _SEGMENT.unpack_from(
            data, segments_at + i * _SEGMENT.size)
        if kind == _LOAD and size:
            segments.append(Segment(address, data[offset : offset + size]))
    headers = [_SECTION.unpack_from(data, sections_at + i * _SECTION.size)
               for i in range(section_count)]
    names = headers[names_index][4]
    sections = tuple(
        Section(_text(data, names + name), address, size,
                b"" if kind == _NO_BITS else data[offset : offset + size])
        for name, kind, flags, address, offset, size, *_ in headers if flags & _ALLOCATED)
    symbols: dict[str, tuple[int, int]] = {}
    for _, kind, _, _, offset, size, link, *_ in headers:
        if kind != _SYMBOLS:
            continue
        for at in range(offset, offset + size, _SYMBOL.size):
            name, address, length, *_ = _SYMBOL.unpack_from(data, at)
            if name:
                symbols[_text(data, headers[link][4] + name)] = (address, length)
    return Image(entry, tuple(segments), sections, symbols)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("utf-8", "replace")

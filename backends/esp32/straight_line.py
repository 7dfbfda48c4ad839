"""Straight-line code for ternary weights: sums of shared subexpressions on two-lane words.

A block is up to 16 outputs over K inputs. Inputs are paired, pairs joined into clusters of four,
and within a cluster the signed pair that most outputs share becomes a temporary, again and again.
Everything is plain addition and subtraction of 32-bit words that carry two 16-bit lanes each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int8]
Term = tuple[int, int]  # (symbol, sign); symbols below the cluster's inputs are loads

OUTPUTS = 16  # per block: accumulators that stay in registers
_CANDIDATES = 60  # partners tried for each pair
_MAX_LIVE = 10  # temporaries that fit the remaining registers


@dataclass(slots=True)
class Cluster:
    """Up to four inputs: `definitions[k]` = (first term, second term) of temporary k."""

    inputs: tuple[int, ...]
    definitions: list[tuple[Term, Term]] = field(default_factory=list)
    rows: list[tuple[Term, ...]] = field(default_factory=list)  # per output

    @property
    def cost(self) -> int:
        """Instructions: loads, definitions, and one addition per remaining term."""
        return len(self.inputs) + len(self.definitions) + sum(map(len, self.rows))

    @property
    def used(self) -> bool:
        """Whether any output reads the cluster."""
        return any(self.rows)


def cluster_of(codes: Codes, inputs: tuple[int, ...]) -> Cluster:
    """Greedy common subexpressions of the given columns of `codes` [outputs, K]."""
    rows = [{place: int(code) for place, code in enumerate(row) if code}
            for row in codes[:, list(inputs)]]
    cluster = Cluster(inputs)
    symbols = len(inputs)
    while symbols < _MAX_LIVE:
        pairs: Counter[tuple[int, int, int]] = Counter()
        for row in rows:
            items = sorted(row.items())
            for i, (a, sign_a) in enumerate(items):
                for b, sign_b in items[i + 1 :]:
                    pairs[a, b, sign_a * sign_b] += 1
        if not pairs:
            break
        (a, b, relative), count = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if count < 2:
            break
        plus = sum(1 for row in rows if row.get(a, 0) * row.get(b, 0) == relative and row[a] > 0)
        # A difference is turned so that most uses are additions; a sum stays one instruction.
        sign = 1 if relative > 0 or 2 * plus >= count else -1
        for row in rows:
            if row.get(a, 0) * row.get(b, 0) == relative:
                row[symbols] = row.pop(a) * sign
                del row[b]
        cluster.definitions.append(((a, sign), (b, relative * sign)))
        symbols += 1
    cluster.rows = [tuple(sorted(row.items())) for row in rows]
    return cluster


def _matched_pairs(codes: Codes) -> list[tuple[int, ...]]:
    """Columns in pairs that share the most, greedily; a last odd one alone."""
    wide = codes.astype(np.int32)
    products = wide.T @ wide
    nonzero = np.abs(wide)
    both = nonzero.T @ nonzero
    same, opposite = (both + products) // 2, (both - products) // 2
    score = np.maximum(same - 1, 0) + np.maximum(opposite - 1, 0)
    columns = [k for k in range(codes.shape[1]) if nonzero[:, k].any()]
    upper = [(-int(score[i, j]), i, j) for n, i in enumerate(columns) for j in columns[n + 1 :]]
    upper.sort()
    left = set(columns)
    pairs: list[tuple[int, ...]] = []
    for _, i, j in upper:
        if i in left and j in left:
            pairs.append((i, j))
            left -= {i, j}
    return pairs + [(k,) for k in sorted(left)]


def clusters(codes: Codes) -> list[Cluster]:
    """The block's clusters in order of their inputs."""
    found = [cluster_of(codes, pair) for pair in _matched_pairs(codes)]
    gains: list[tuple[int, int, int, Cluster]] = []
    for i, first in enumerate(found):
        for j in range(i + 1, min(i + 1 + _CANDIDATES, len(found))):
            joined = cluster_of(codes, first.inputs + found[j].inputs)
            gain = first.cost + found[j].cost - joined.cost
            if gain > 0:
                gains.append((-gain, i, j, joined))
    gains.sort(key=lambda g: g[:3])
    taken: set[int] = set()
    result = []
    for _, i, j, joined in gains:
        if i not in taken and j not in taken:
            result.append(joined)
            taken |= {i, j}
    result += [cluster for i, cluster in enumerate(found) if i not in taken]
    return sorted((c for c in result if c.used), key=lambda c: min(c.inputs))


def emit_block(name: str, codes: Codes, offsets: list[int]) -> str:
    """The C function of one block.

    `void name(const uint32_t *x, const uint32_t *end, uint32_t step, uint32_t *sums)` computes
    the sums of one block at x, x + step ... up to `end`, `OUTPUTS` words each.

    Args:
        name: the function's name.
        codes: [outputs, K] in {-1, 0, 1}, at most `OUTPUTS` rows.
        offsets: for each of the K inputs its word offset from `x`.

    The sums start at 0x80008000, so that both lanes are unsigned sums plus 0x8000.
    """
    outputs = codes.shape[0]
    body = _sums(codes, offsets) + [f"sums[{output}] = s{output};" for output in range(outputs)]
    text = "\n".join(f"    {line}" for line in body)
    return (
        f"static TERNC_STRAIGHT_LINE void {name}(\n"
        "    const uint32_t *x, const uint32_t *end, uint32_t step, uint32_t *sums) {\n"
        f"  for (; x != end; x += step, sums += {OUTPUTS}) {{\n{text}\n  }}\n}}"
    )


@dataclass(frozen=True, slots=True)
class Requantized:
    """The requantization of a block: constants of each output, and of the layer."""

    m: npt.NDArray[np.int64]
    c: npt.NDArray[np.int64]
    shift: int
    lo: int
    hi: int

    def bounds(self, codes: Codes) -> list[tuple[bool, bool]]:
        """Whether each output can lie below `lo`, and above `hi`, whatever the activations."""
        plus, minus = (codes > 0).sum(axis=1), (codes < 0).sum(axis=1)
        least, most = (
            (acc * self.m + (self.c << 16)) >> (16 + self.shift)
            for acc in (-128 * plus - 127 * minus, 127 * plus + 128 * minus)
        )
        return [(bool(low < self.lo), bool(high > self.hi))
                for low, high in zip(least, most, strict=True)]


def emit_bytes_block(
    name: str, codes: Codes, offsets: list[int], scale: Requantized, pitch: int
) -> str:
    """The C function of a block that requantizes its sums while they are in registers.

    `void name(const uint32_t *x, const uint32_t *end, uint32_t step, int8_t *y0, int8_t *y1,
    const int32_t *m, const int32_t *c)` stores the outputs of both lanes at x, x + step ... up to
    `end`; positions are `pitch` bytes apart. Other operands are those of `emit_block`.
    """
    outputs = range(codes.shape[0])
    constants = [f"const uint32_t m{o} = (uint32_t)m[{o}], c{o} = (uint32_t)c[{o}];"
                 for o in outputs]
    body = _sums(codes, offsets)
    for o, (below, above) in enumerate(scale.bounds(codes)):
        for lane, word in (("y1", f"s{o} & 0xffff0000u"), ("y0", f"s{o} << 16")):
            value = f"ternc_lines_value({word}, m{o}, c{o}, {scale.shift}u)"
            if below or above:
                value = f"ternc_lines_clamp({value}, {scale.lo}, {scale.hi})"
            body.append(f"{lane}[{o}] = (int8_t){value};")
    head, text = ("\n".join(f"{' ' * depth}{line}" for line in lines)
                  for depth, lines in ((2, constants), (4, body)))
    return (
        f"static TERNC_STRAIGHT_LINE void {name}(\n"
        "    const uint32_t *x, const uint32_t *end, uint32_t step, int8_t *y0, int8_t *y1,\n"
        f"    const int32_t *m, const int32_t *c) {{\n{head}\n"
        f"  for (; x != end; x += step, y0 += {pitch}, y1 += {pitch}) {{\n"
        f"{text}\n  }}\n}}"
    )


def _sums(codes: Codes, offsets: list[int]) -> list[str]:
    """Statements that leave the sums in s0, s1, ..."""
    outputs = codes.shape[0]
    lines = ["const uint32_t bias = 0x80008000u;",
             f"uint32_t {', '.join(f's{o}' for o in range(outputs))};"]
    touched: set[int] = set()
    for number, cluster in enumerate(clusters(codes)):
        symbol = [f"x{number}_{i}" for i in range(len(cluster.inputs))]
        for place, column in enumerate(cluster.inputs):
            lines.append(f"const uint32_t {symbol[place]} = x[{offsets[column]}];")
        for place, (first, second) in enumerate(cluster.definitions):
            text = _sum(symbol, first, second)
            symbol.append(f"t{number}_{place}")
            lines.append(f"const uint32_t {symbol[-1]} = {text};")
        uses: dict[int, list[tuple[int, int]]] = {}
        for output, row in enumerate(cluster.rows):
            for term, sign in row:
                uses.setdefault(term, []).append((output, sign))
        for term in sorted(uses):
            for output, sign in uses[term]:
                mark = "+" if sign > 0 else "-"
                if output in touched:
                    lines.append(f"s{output} {mark}= {symbol[term]};")
                else:
                    lines.append(f"s{output} = bias {mark} {symbol[term]};")
                    touched.add(output)
    return lines + [f"s{output} = bias;" for output in range(outputs) if output not in touched]


def _sum(symbol: list[str], first: Term, second: Term) -> str:
    (a, sign_a), (b, sign_b) = first, second
    if sign_a > 0:
        return f"{symbol[a]} {'+' if sign_b > 0 else '-'} {symbol[b]}"
    if sign_b > 0:
        return f"{symbol[b]} - {symbol[a]}"
    return f"0u - {symbol[a]} - {symbol[b]}"

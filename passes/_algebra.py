"""Rows of numbers as affine functions of unknown rows: what a recurrence's body computes.

An `Affine` is bias + Σ atom · matrix. An atom is an unknown row (an input, a state), a function
of an affine row, or a product. Products of rows whose matrices are diagonal are multiplied out,
so that z·h + (1 - z)·n and n + z·(h - n) become the same sum of atoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Columns = npt.NDArray[np.int64]


class Unrecognised(Exception):
    """The computation is none that the algebra knows; the text says which part."""


@dataclass(frozen=True, eq=False, slots=True)
class Atom:
    """A row of `size` numbers: `kind` is unknown, Sigmoid, Tanh, Relu, Mul or gated.

    Functions have one argument. A Mul has two atoms as factors; a gated product is `factors[0]`
    times the argument, which mixes columns and is therefore not multiplied out.
    """

    kind: str
    size: int
    argument: Affine | None = None
    factors: tuple[Atom, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Affine:
    """bias + Σ atom · matrix, matrices [atom.size, size]."""

    terms: Mapping[Atom, Matrix]
    bias: Matrix

    @property
    def size(self) -> int:
        """Length of the row."""
        return int(self.bias.size)

    @staticmethod
    def of(atom: Atom) -> Affine:
        """The atom itself."""
        return Affine({atom: np.eye(atom.size)}, np.zeros(atom.size))

    def same_as(self, other: Affine) -> bool:
        """Whether both are the same sum of the same atoms."""
        return (self.terms.keys() == other.terms.keys()
                and np.array_equal(self.bias, other.bias)
                and all(np.array_equal(m, other.terms[a]) for a, m in self.terms.items()))


def diagonal(matrix: Matrix) -> Matrix | None:
    """The diagonal of a matrix that has nothing else, or None."""
    if matrix.shape[0] != matrix.shape[1]:
        return None
    diagonal_ = np.diagonal(matrix)
    return diagonal_ if np.array_equal(matrix, np.diag(diagonal_)) else None


def units(row: Affine) -> dict[Atom, float] | None:
    """Atoms whose matrix is the identity times one number, if all are and the bias is 0."""
    found = {}
    for atom, matrix in row.terms.items():
        entries = diagonal(matrix)
        if entries is None or not np.all(entries == entries[0]):
            return None
        found[atom] = float(entries[0])
    return found if not row.bias.any() else None


@dataclass(slots=True)
class Algebra:
    """The operations; equal products and equal slices of an atom are one atom."""

    _products: dict[frozenset[Atom], Atom] = field(default_factory=dict)
    _slices: dict[tuple[Atom, bytes], Affine] = field(default_factory=dict)
    _functions: dict[tuple[str, int], list[tuple[Affine, Atom]]] = field(default_factory=dict)

    def add(self, a: Affine, b: Affine, sign: float = 1.0) -> Affine:
        """A + sign·b."""
        a, b = _widened(a, b.size), _widened(b, a.size)
        terms = dict(a.terms)
        for atom, matrix in b.terms.items():
            total = terms.get(atom, 0.0) + sign * matrix
            terms[atom] = total
        kept = {atom: matrix for atom, matrix in terms.items() if matrix.any()}
        return Affine(kept, a.bias + sign * b.bias)

    def scale(self, a: Affine, by: Matrix) -> Affine:
        """Each column times a number."""
        row = np.broadcast_to(by.reshape(-1), (a.size,))
        return Affine({atom: matrix * row for atom, matrix in a.terms.items()}, a.bias * row)

    def matmul(self, a: Affine, matrix: Matrix) -> Affine:
        """A · matrix."""
        if matrix.ndim != 2 or matrix.shape[0] != a.size:
            raise Unrecognised(f"a product with a matrix of shape {list(matrix.shape)}")
        return Affine({atom: m @ matrix for atom, m in a.terms.items()}, a.bias @ matrix)

    def function(self, kind: str, a: Affine) -> Affine:
        """Sigmoid, Tanh or Relu of a row."""
        known = self._functions.setdefault((kind, a.size), [])
        for argument, atom in known:
            if argument.same_as(a):
                return Affine.of(atom)
        atom = Atom(kind, a.size, a)
        known.append((a, atom))
        return Affine.of(atom)

    def product(self, a: Affine, b: Affine) -> Affine:
        """A times b, element by element."""
        a, b = _widened(a, b.size), _widened(b, a.size)
        if not a.terms or not b.terms:
            return self.scale(b, a.bias) if not a.terms else self.scale(a, b.bias)
        spread_a, spread_b = _diagonals(a), _diagonals(b)
        if spread_a is None or spread_b is None:
            return self._gated(a, b)
        total = Affine({}, a.bias * b.bias)
        for atom, entries in spread_a.items():
            total = self.add(total, Affine({atom: np.diag(entries * b.bias)}, np.zeros(a.size)))
            for other, factors in spread_b.items():
                made = self._product_of(atom, other)
                total = self.add(
                    total, Affine({made: np.diag(entries * factors)}, np.zeros(a.size)))
        for other, factors in spread_b.items():
            total = self.add(total, Affine({other: np.diag(factors * a.bias)}, np.zeros(a.size)))
        return total

    def columns(self, a: Affine, columns: Columns) -> Affine:
        """Some columns of a row; of an elementwise atom, the atom of those columns."""
        total = Affine({}, a.bias[columns])
        for atom, matrix in a.terms.items():
            entries = diagonal(matrix)
            if entries is None or atom.kind == "unknown":
                part = Affine({atom: matrix[:, columns]}, np.zeros(len(columns)))
            else:
                part = self.scale(self._sliced(atom, columns), entries[columns])
            total = self.add(total, part)
        return total

    def concat(self, rows: Sequence[Affine]) -> Affine:
        """Rows one behind the other."""
        atoms = dict.fromkeys(atom for row in rows for atom in row.terms)
        terms = {
            atom: np.concatenate(
                [row.terms.get(atom, np.zeros((atom.size, row.size))) for row in rows], axis=1)
            for atom in atoms
        }
        return Affine(terms, np.concatenate([row.bias for row in rows]))

    def _product_of(self, a: Atom, b: Atom) -> Atom:
        key = frozenset((a, b))
        if key not in self._products:
            self._products[key] = Atom("Mul", a.size, None, (a, b))
        return self._products[key]

    def _gated(self, a: Affine, b: Affine) -> Affine:
        for gate, mixed in ((a, b), (b, a)):
            found = units(gate)
            if found is not None and list(found.values()) == [1.0]:
                return Affine.of(Atom("gated", a.size, mixed, (next(iter(found)),)))
        raise Unrecognised("a product of two sums")

    def _sliced(self, atom: Atom, columns: Columns) -> Affine:
        key = (atom, columns.tobytes())
        if key not in self._slices:
            if atom.kind == "Mul":
                first, second = (self.columns(Affine.of(f), columns) for f in atom.factors)
                self._slices[key] = self.product(first, second)
            elif atom.kind == "gated":
                assert atom.argument is not None
                self._slices[key] = self.product(
                    self.columns(Affine.of(atom.factors[0]), columns),
                    self.columns(atom.argument, columns))
            else:
                assert atom.argument is not None
                self._slices[key] = self.function(
                    atom.kind, self.columns(atom.argument, columns))
        return self._slices[key]


def _diagonals(a: Affine) -> dict[Atom, Matrix] | None:
    found = {}
    for atom, matrix in a.terms.items():
        entries = diagonal(matrix)
        if entries is None:
            return None
        found[atom] = entries
    return found


def _widened(a: Affine, size: int) -> Affine:
    """A constant row of one number, repeated to `size`."""
    if a.size == size or size == 1:
        return a
    if a.terms or a.size != 1:
        raise Unrecognised(f"rows of {a.size} and {size} numbers in one operation")
    return Affine({}, np.repeat(a.bias, size))

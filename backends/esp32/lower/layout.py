"""How a logical ONNX tensor lies in a dense buffer, so that transposes and reshapes cost nothing.

A logical axis is a product of *atoms* (in logical order); the buffer holds all atoms in some
physical order. Row-major is the identity order. NCHW held as NHWC is the atoms (N, C, H, W) in
the order (N, H, W, C); flattening it gives one axis of the atoms (C, H, W) in the order
(H, W, C): still no copy, and a dense layer absorbs the order into its weights' columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Layout:
    """`axes[i]` are the atom sizes of logical axis i; `order[k]` is the atom at physical place k.

    Atoms are numbered through all axes in logical order; atoms of size 1 are left out.
    """

    axes: tuple[Shape, ...]
    order: Shape

    @staticmethod
    def row_major(shape: Shape) -> Layout:
        """The ordinary dense layout of `shape`."""
        axes = tuple((dim,) if dim != 1 else () for dim in shape)
        return Layout(axes, tuple(range(sum(map(len, axes)))))

    @staticmethod
    def permuted(shape: Shape, physical: Shape) -> Layout:
        """`shape` held with its logical axes in the order `physical`, outermost first."""
        plain = Layout.row_major(shape)
        index = {
            axis: place for place, axis in enumerate(a for a, d in enumerate(shape) if d != 1)
        }
        return Layout(plain.axes, tuple(index[axis] for axis in physical if shape[axis] != 1))

    @staticmethod
    def channels_last(shape: Shape) -> Layout:
        """[N, C, spatial...] held as [N, spatial..., C]."""
        return Layout.permuted(shape, (0, *range(2, len(shape)), 1))

    @property
    def shape(self) -> Shape:
        """The logical shape."""
        return tuple(prod(atoms) for atoms in self.axes)

    @property
    def atoms(self) -> Shape:
        """Atom sizes in logical order."""
        return tuple(size for atoms in self.axes for size in atoms)

    @property
    def physical_shape(self) -> Shape:
        """Atom sizes in physical order."""
        atoms = self.atoms
        return tuple(atoms[index] for index in self.order)

    @property
    def strides(self) -> Shape:
        """Element stride of each atom, in logical order."""
        strides = [0] * len(self.order)
        step = 1
        atoms = self.atoms
        for index in reversed(self.order):
            strides[index] = step
            step *= atoms[index]
        return tuple(strides)

    def axis_atoms(self, axis: int) -> range:
        """The numbers of the atoms of a logical axis."""
        start = sum(len(atoms) for atoms in self.axes[:axis])
        return range(start, start + len(self.axes[axis]))

    def axis_stride(self, axis: int) -> int | None:
        """Element stride of an axis that is one atom (0 for a dim of 1), else None."""
        atoms = self.canonical().axis_atoms(axis)
        if len(atoms) == 0:
            return 0
        return self.canonical().strides[atoms[0]] if len(atoms) == 1 else None

    def canonical(self) -> Layout:
        """Atoms that are neighbours logically (in one axis) and physically are merged."""
        place = {atom: position for position, atom in enumerate(self.order)}
        axes: list[list[int]] = []
        merged_of: list[int] = []  # atom -> merged atom
        count = 0
        for axis in range(len(self.axes)):
            sizes: list[int] = []
            previous = None
            for atom in self.axis_atoms(axis):
                if previous is not None and place[atom] == place[previous] + 1:
                    sizes[-1] *= self.atoms[atom]
                else:
                    sizes.append(self.atoms[atom])
                    count += 1
                merged_of.append(count - 1)
                previous = atom
            axes.append(sizes)
        order: list[int] = []
        for atom in self.order:
            if not order or order[-1] != merged_of[atom]:
                order.append(merged_of[atom])
        return Layout(tuple(tuple(sizes) for sizes in axes), tuple(order))

    @property
    def is_row_major(self) -> bool:
        """Whether the buffer holds the elements in logical order."""
        return self.order == tuple(range(len(self.order)))

    def same_as(self, other: Layout) -> bool:
        """Whether both put every element of one logical shape at the same place."""
        return self.canonical() == other.canonical()

    def transpose(self, perm: Shape) -> Layout:
        """The layout of the transposed tensor in the same buffer."""
        renumber: dict[int, int] = {}
        for axis in perm:
            for atom in self.axis_atoms(axis):
                renumber[atom] = len(renumber)
        return Layout(
            tuple(self.axes[axis] for axis in perm), tuple(renumber[a] for a in self.order)
        )

    def split(self, targets: list[list[int]]) -> Layout:
        """Splits each atom into the given factors (outermost first)."""
        first: list[int] = []
        total = 0
        for factors in targets:
            first.append(total)
            total += len(factors)
        axes, position = [], 0
        for atoms in self.axes:
            axes.append(tuple(f for i in range(len(atoms)) for f in targets[position + i]))
            position += len(atoms)
        order = tuple(first[a] + i for a in self.order for i in range(len(targets[a])))
        return Layout(tuple(axes), order)

    def reshape(self, shape: Shape) -> Layout | None:
        """The layout after a Reshape of the same buffer, or None where it needs a copy."""
        if prod(shape) != prod(self.shape) or 0 in shape:
            return None
        canonical = Layout((self.atoms,), self.order).canonical()  # merged across axes too
        split = common_factors([canonical.atoms, tuple(d for d in shape if d != 1)])
        if split is None:
            return None
        fine = canonical.split(split[0])
        per_dim = iter(split[1])
        axes = tuple(tuple(next(per_dim)) if dim != 1 else () for dim in shape)
        return Layout(axes, fine.order).canonical()

    def with_axis(self, axis: int, size: int) -> Layout | None:
        """The same order with another size of one axis, or None unless that axis is one atom."""
        canonical = self.canonical()
        if len(canonical.axes[axis]) != 1:
            return None
        atom = canonical.axis_atoms(axis)[0]
        if size != 1:
            axes = tuple((size,) if i == axis else a for i, a in enumerate(canonical.axes))
            return Layout(axes, canonical.order)
        axes = tuple(() if i == axis else a for i, a in enumerate(canonical.axes))
        return Layout(axes, tuple(a - (a > atom) for a in canonical.order if a != atom))

    def with_rank(self, rank: int) -> Layout:
        """The layout with leading axes of size 1 up to `rank`."""
        return Layout(((),) * (rank - len(self.axes)) + self.axes, self.order)

    def drop_axis(self, axis: int) -> Layout:
        """The layout without a logical axis of size 1."""
        assert not self.axes[axis]
        return Layout(self.axes[:axis] + self.axes[axis + 1 :], self.order)

    def to_physical(self, array: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """`array` (logical shape) with its elements in physical order, flat."""
        return np.ascontiguousarray(array.reshape(self.atoms).transpose(self.order)).reshape(-1)

    def to_logical(self, flat: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """The inverse of `to_physical`, in the logical shape."""
        inverse = tuple(int(i) for i in np.argsort(self.order))
        return flat.reshape(self.physical_shape).transpose(inverse).reshape(self.shape)


def common_factors(sequences: list[Shape]) -> list[list[list[int]]] | None:
    """Splits sequences of one product so that all have the same factors, or None.

    Returns, for each sequence, the factors of each of its entries:
    `[(6, 4), (3, 8)]` -> `[[[3, 2], [4]], [[3], [2, 4]]]`.
    """
    out: list[list[list[int]]] = [[[] for _ in sequence] for sequence in sequences]
    position = [0] * len(sequences)
    left = [sequence[0] if sequence else 1 for sequence in sequences]
    if all(not sequence for sequence in sequences):
        return out
    while all(p < len(s) for p, s in zip(position, sequences, strict=True)):
        factor = min(left)
        if any(remaining % factor for remaining in left):
            return None
        for i, sequence in enumerate(sequences):
            out[i][position[i]].append(factor)
            left[i] //= factor
            if left[i] == 1:
                position[i] += 1
                left[i] = sequence[position[i]] if position[i] < len(sequence) else 1
    return out


@dataclass(frozen=True, slots=True)
class Loops:
    """A loop nest over one index space: `dims` outermost first, element strides per operand."""

    dims: Shape
    strides: tuple[Shape, ...]

    def padded(self, rank: int) -> Loops | None:
        """With leading dims of 1 up to `rank`, or None when there are more loops than that."""
        extra = rank - len(self.dims)
        if extra < 0:
            return None
        return Loops((1,) * extra + self.dims, tuple((0,) * extra + s for s in self.strides))


def loops(shape: Shape, operands: list[Layout], order_of: int) -> Loops | None:
    """The loops that visit `shape` once, in the physical order of operand `order_of`.

    An operand's axis may have size 1 where `shape` does not (broadcast: stride 0), or any other
    size if it is a single atom (a box inside a larger tensor). None where the operands' atoms
    have no common refinement.
    """
    assert all(len(layout.axes) == len(shape) for layout in operands)
    canonical = [layout.canonical() for layout in operands]
    dims: list[int] = []
    strides: list[list[int]] = [[] for _ in operands]
    places: list[int] = []
    for axis, dim in enumerate(shape):
        if dim == 1:
            continue
        whole = [i for i, layout in enumerate(canonical) if prod(layout.axes[axis]) == dim]
        split = common_factors([(dim,), *(canonical[i].axes[axis] for i in whole)])
        if split is None:
            return None
        factors = split[0][0]
        start = len(dims)
        dims.extend(factors)
        for i, layout in enumerate(canonical):
            atoms = layout.axes[axis]
            if not atoms:
                strides[i].extend([0] * len(factors))
                continue
            if i in whole:
                fine: list[int] = []
                pieces = split[1 + whole.index(i)]
                for atom, parts in zip(layout.axis_atoms(axis), pieces, strict=True):
                    step = layout.strides[atom] * layout.atoms[atom]
                    for part in parts:
                        step //= part
                        fine.append(step)
                strides[i].extend(fine)
            elif len(atoms) == 1 and len(factors) >= 1:
                step = layout.strides[layout.axis_atoms(axis)[0]] * dim
                for part in factors:
                    step //= part
                    strides[i].append(step)
            else:
                return None
        places.extend(range(start, len(dims)))
    lead = strides[order_of]
    order = sorted(places, key=lambda i: (-lead[i], i))
    return _merge([dims[i] for i in order], [[s[i] for i in order] for s in strides])


def _merge(dims: list[int], strides: list[list[int]]) -> Loops:
    """Merges neighbouring loops that every operand walks as one."""
    out_dims: list[int] = []
    out: list[list[int]] = [[] for _ in strides]
    for position, dim in enumerate(dims):
        if out_dims and all(
            mine[-1] == theirs[position] * dim for mine, theirs in zip(out, strides, strict=True)
        ):
            out_dims[-1] *= dim
            for mine, theirs in zip(out, strides, strict=True):
                mine[-1] = theirs[position]
        else:
            out_dims.append(dim)
            for mine, theirs in zip(out, strides, strict=True):
                mine.append(theirs[position])
    return Loops(tuple(out_dims), tuple(tuple(s) for s in out))

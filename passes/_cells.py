"""Which recurrent cell a row of algebra is: the equations of ONNX's RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ternc.passes._algebra import Affine, Atom, Matrix, Unrecognised, units


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """An ONNX recurrent operator with its parameters, one direction; `states` in ONNX's order."""

    op_type: str
    states: tuple[Atom, ...]
    w: Matrix  # [gates * hidden, inputs]
    r: Matrix  # [gates * hidden, hidden]
    bias: Matrix  # [2 * gates * hidden]
    attributes: dict[str, int | Sequence[str]]


def cell(x: Atom, following: dict[Atom, Affine]) -> Cell:
    """The cell whose states become `following`, given the input row `x`.

    Raises:
        Unrecognised: The equations are those of no cell, or a cell with other activations.
    """
    if len(following) == 1:
        (state, after), = following.items()
        return _plain(x, state, after) or _gru(x, state, after)
    if len(following) == 2:
        return _lstm(x, following)
    raise Unrecognised(f"a recurrence with {len(following)} states")


def _gate(row: Affine, x: Atom, h: Atom) -> tuple[Matrix, Matrix, Matrix]:
    """W, R and the bias of one gate, which must be affine in x and h."""
    if not set(row.terms) <= {x, h}:
        raise Unrecognised("a gate that depends on more than the input and the state")
    w = row.terms.get(x, np.zeros((x.size, row.size)))
    r = row.terms.get(h, np.zeros((h.size, row.size)))
    return w.T, r.T, row.bias


def _stacked(op_type: str, states: tuple[Atom, ...],
             gates: Sequence[tuple[Matrix, Matrix, Matrix]], from_h: Matrix | None = None,
             **attributes: int | Sequence[str]) -> Cell:
    w, r, bias = (np.concatenate([gate[i] for gate in gates]) for i in range(3))
    second = np.zeros_like(bias)
    if from_h is not None:
        second[-from_h.size :] = from_h
    return Cell(op_type, states, w, r, np.concatenate([bias, second]), dict(attributes))


def _only(row: Affine) -> Atom | None:
    """The atom that the row is, unchanged."""
    found = units(row)
    return next(iter(found)) if found is not None and list(found.values()) == [1.0] else None


def _argument(atom: Atom | None, kind: str, what: str) -> Affine:
    if atom is None or atom.kind != kind or atom.argument is None:
        raise Unrecognised(f"{what} is not a {kind}")
    return atom.argument


def _plain(x: Atom, h: Atom, after: Affine) -> Cell | None:
    """RNN: h' = tanh(x W + h R + b), or relu."""
    atom = _only(after)
    if atom is None or atom.kind not in ("Tanh", "Relu") or atom.argument is None:
        return None
    gates = [_gate(atom.argument, x, h)]
    if atom.kind == "Tanh":
        return _stacked("RNN", (h,), gates)
    return _stacked("RNN", (h,), gates, activations=("Relu",))


def _gru(x: Atom, h: Atom, after: Affine) -> Cell:
    """GRU: h' = n + z h - z n, with n = tanh(x W + r (h R + b) + b) or tanh(x W + (r h) R + b)."""
    found = units(after) or {}
    candidates = [a for a, factor in found.items() if a.kind == "Tanh" and factor == 1]
    kept = [a for a, factor in found.items() if a.kind == "Mul" and factor == 1 and h in a.factors]
    lost = [a for a, factor in found.items() if a.kind == "Mul" and factor == -1]
    if len(found) != 3 or not (len(candidates) == len(kept) == len(lost) == 1):
        raise Unrecognised("the state's update is that of no GRU, LSTM or RNN")
    n = candidates[0]
    z = next(a for a in kept[0].factors if a is not h)
    if set(lost[0].factors) != {z, n}:
        raise Unrecognised("the update gate of what would be a GRU differs between its two uses")
    gates = [_gate(_argument(z, "Sigmoid", "the update gate"), x, h)]
    argument = _argument(n, "Tanh", "the candidate")
    reset = [atom for atom in argument.terms if atom is not x]
    if len(reset) != 1:
        raise Unrecognised("the candidate of what would be a GRU")
    matrix = argument.terms[reset[0]]
    w = argument.terms.get(x, np.zeros((x.size, argument.size))).T
    if reset[0].kind == "gated" and np.array_equal(matrix, np.eye(argument.size)):
        r, inner = reset[0].factors[0], reset[0].argument
        assert inner is not None
        gates.append(_gate(_argument(r, "Sigmoid", "the reset gate"), x, h))
        w_h, r_h, b_h = _gate(inner, x, h)
        if w_h.any():
            raise Unrecognised("a reset gate that multiplies the input")
        gates.append((w, r_h, argument.bias))
        return _stacked("GRU", (h,), gates, b_h, linear_before_reset=1)
    if reset[0].kind != "Mul" or h not in reset[0].factors:
        raise Unrecognised("the candidate of what would be a GRU")
    r = next(a for a in reset[0].factors if a is not h)
    gates.append(_gate(_argument(r, "Sigmoid", "the reset gate"), x, h))
    gates.append((w, matrix.T, argument.bias))
    return _stacked("GRU", (h,), gates, linear_before_reset=0)


def _lstm(x: Atom, following: dict[Atom, Affine]) -> Cell:
    """LSTM: c' = f c + i g, h' = o tanh(c')."""
    first, second = following
    for h, c in ((first, second), (second, first)):
        atom = _only(following[h])
        if atom is None or atom.kind != "Mul":
            continue
        squashed = [a for a in atom.factors if a.kind == "Tanh" and a.argument is not None
                    and a.argument.same_as(following[c])]
        if squashed:
            output = next(a for a in atom.factors if a is not squashed[0])
            return _lstm_gates(x, h, c, output, following[c])
    raise Unrecognised("two states whose updates are not those of an LSTM")


def _lstm_gates(x: Atom, h: Atom, c: Atom, output: Atom, after: Affine) -> Cell:
    found = units(after) or {}
    if len(found) != 2 or any(a.kind != "Mul" or f != 1 for a, f in found.items()):
        raise Unrecognised("the cell's update is not that of an LSTM")
    kept = [a for a in found if c in a.factors]
    added = [a for a in found if c not in a.factors]
    if len(kept) != 1 or len(added) != 1:
        raise Unrecognised("the cell's update is not that of an LSTM")
    forget = next(a for a in kept[0].factors if a is not c)
    candidates = [a for a in added[0].factors if a.kind == "Tanh"]
    if len(candidates) != 1:
        raise Unrecognised("the candidate of what would be an LSTM is not a Tanh")
    update = next(a for a in added[0].factors if a is not candidates[0])
    gates = [
        _gate(_argument(gate, "Sigmoid", f"the {name} gate of what would be an LSTM"), x, h)
        for name, gate in (("input", update), ("output", output), ("forget", forget))
    ]
    gates.append(_gate(_argument(candidates[0], "Tanh", "the candidate"), x, h))
    return _stacked("LSTM", (h, c), gates)

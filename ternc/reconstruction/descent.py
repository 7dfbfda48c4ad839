"""Ternary rows of W and R of a recurrent layer, by gradient descent on the error of its states.

Errors of one step are read by the next ones: what matters is what they do to the states that the
model reads, over the whole sequence. Gradients go back through time; a ternary weight passes them
on to the real one behind it (straight-through estimator), its scale learns as in LSQ (Esser et
al. 2020). Rows that stay int8, and the biases, learn besides, and so take back what ternary rows
lose. Towards the end codes are held, and scales, biases and real weights settle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ternc.reconstruction.cells import Cell
from ternc.reconstruction.gradients import gradients, states_of
from ternc.reconstruction.start import Codes

Array = npt.NDArray[np.floating[Any]]

_STEPS: Final = 1000
_BATCH: Final = 64
_HOLD: Final = 0.7  # of the steps, after which codes stay
_RATE: Final = (0.003, 0.009)  # of the root mean square of the weights; with codes held
_SCALE_RATE: Final = (0.001, 0.003)
_NEAR: Final = 0.8  # how near to its code a real weight starts
_REACH: Final = 1.5  # in scales; beyond, a real weight that moves changes no code
_RESTARTS: Final = 2
_WORK: Final = 4e11  # multiply-accumulates of a fit, its restarts together
_DECAY: Final = (0.9, 0.99)  # of Adam's moments


@dataclass(frozen=True, slots=True)
class Task:
    """What one direction is fitted to.

    x [steps, samples, inputs] is what the layer will read, goal [steps, samples, hidden] the
    float layer's states, `share` how much each step counts. `w_rows` and `r_rows` are True for
    the rows to make ternary.
    """

    x: Array
    states: tuple[Array, Array]
    goal: Array
    share: Array
    w_rows: npt.NDArray[np.bool_]
    r_rows: npt.NDArray[np.bool_]

    def error(self, cell: Cell) -> float:
        """The error of the states, all samples together."""
        found = states_of(cell, self.x, *self.states)
        return float((((found - self.goal) ** 2).sum(axis=(1, 2)) * self.share).sum())


def descend(cell: Cell, start: Codes, task: Task) -> Cell:
    """`cell` with ternary rows where `task` says, each a scale times -1, 0 and 1."""
    begin = replace(
        cell, w_bias=np.where(task.w_rows & task.r_rows, start.w_bias, cell.w_bias),
        w=np.where(task.w_rows[:, None], start.w * start.w_scale[:, None], cell.w),
        r=np.where(task.r_rows[:, None], start.r * start.r_scale[:, None], cell.r))
    found = [begin]
    each = 3 * task.x.shape[0] * min(task.x.shape[1], _BATCH) * (cell.w.size + cell.r.size)
    possible = int(_WORK // each)
    restarts = int(np.clip(possible // _STEPS, 1, _RESTARTS))
    for seed in range(restarts):
        found.append(_Descent(cell, begin, start, task, seed).run(
            min(_STEPS, possible // restarts)))
    return min(found, key=task.error)


class _Descent:
    """One descent, in float32."""

    def __init__(self, cell: Cell, begin: Cell, start: Codes, task: Task, seed: int) -> None:
        self.cell, self.task = _cast(cell, np.float32), task
        self.generator = np.random.default_rng(seed)
        self.rows = {"w": task.w_rows[:, None], "r": task.r_rows[:, None]}
        self.values = {name: np.array(getattr(begin, name), np.float32)
                       for name in ("w", "r", "w_bias", "r_bias")}
        self.rates = {name: float(np.sqrt(np.mean(np.square(self.values[name[:1]])))) + 1e-9
                      for name in self.values}
        self.codes = {"w": start.w.astype(np.float32), "r": start.r.astype(np.float32)}
        for name, scale in (("w", start.w_scale), ("r", start.r_scale)):
            real = getattr(cell, name)
            self.values[name] = np.where(
                self.rows[name], _NEAR * self.values[name] + (1 - _NEAR) * real,
                self.values[name]).astype(np.float32)
            least = 1e-3 * float(np.abs(real).max()) + 1e-9
            self.values[f"{name}_scale"] = np.log(np.maximum(scale, least)).astype(np.float32)
        self.held = False

    def run(self, steps: int) -> Cell:
        """The cell after so many steps."""
        hold = int(_HOLD * steps)
        if self.rows["w"].any() or self.rows["r"].any():
            self._phase(hold, 0, steps)
        self.held = True
        self._phase(steps - hold, 0, steps - hold)
        found = self._real()
        return _cast(found, np.float64)

    def _phase(self, steps: int, begin: int, whole: int) -> None:
        """`steps` of Adam, of a course of `whole` ones along which the rate falls to 0."""
        task, samples = self.task, self.task.x.shape[1]
        x, goal = (array.astype(np.float32) for array in (task.x, task.goal))
        h, c = (array.astype(np.float32) for array in task.states)
        share = task.share.astype(np.float32)
        batch = min(samples, _BATCH)
        first = {name: np.zeros_like(value) for name, value in self.values.items()}
        second = {name: np.zeros_like(value) for name, value in self.values.items()}
        for step in range(begin, begin + steps):
            if not self.held:
                self._round()
            taken = self.generator.choice(samples, batch, replace=False)
            _, found = gradients(self._real(), x[:, taken], h[taken], c[taken], goal[:, taken],
                                 share / np.float32(batch))
            slopes = self._slopes({"w": found.w, "r": found.r, "w_bias": found.w_bias,
                                   "r_bias": found.r_bias})
            rate = 0.5 * (1 + np.cos(np.pi * step / whole))
            for name, slope in slopes.items():
                first[name] += (1 - _DECAY[0]) * (slope - first[name])
                second[name] += (1 - _DECAY[1]) * (slope**2 - second[name])
                grown = [1 - decay ** (step - begin + 1) for decay in _DECAY]
                move = first[name] / grown[0] / (np.sqrt(second[name] / grown[1]) + 1e-10)
                size = _SCALE_RATE[self.held] if name.endswith("scale") else (
                    _RATE[self.held] * self.rates[name])
                self.values[name] -= (rate * size * move).astype(np.float32)

    def _round(self) -> None:
        for name in ("w", "r"):
            scale = np.exp(self.values[f"{name}_scale"])[:, None]
            self.codes[name] = np.rint(np.clip(self.values[name] / scale, -1, 1))

    def _real(self) -> Cell:
        """The cell that these values stand for."""
        real = {name: np.where(self.rows[name], self.codes[name]
                               * np.exp(self.values[f"{name}_scale"])[:, None], self.values[name])
                for name in ("w", "r")}
        return replace(self.cell, w=real["w"], r=real["r"], w_bias=self.values["w_bias"],
                       r_bias=self.values["r_bias"])

    def _slopes(self, by_real: dict[str, npt.NDArray[np.float32]]
                ) -> dict[str, npt.NDArray[np.float32]]:
        """Derivatives by the values, those by the real weights and biases given."""
        slopes = dict(by_real)
        for name in ("w", "r"):
            scale = np.exp(self.values[f"{name}_scale"])[:, None]
            place, rows, slope = self.values[name] / scale, self.rows[name], by_real[name]
            near = np.abs(place) <= 1
            follows = self.codes[name] - (0 if self.held else np.where(near, place, 0))
            slopes[f"{name}_scale"] = np.where(rows, slope * follows * scale, 0).sum(axis=1)
            stays = rows & (self.held | (np.abs(place) > _REACH))
            slopes[name] = np.where(stays, 0, slope)
        return slopes


def _cast(cell: Cell, dtype: type[np.floating[Any]]) -> Cell:
    return replace(cell, w=cell.w.astype(dtype), r=cell.r.astype(dtype),
                   w_bias=cell.w_bias.astype(dtype), r_bias=cell.r_bias.astype(dtype))

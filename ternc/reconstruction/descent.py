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

from ternc.reconstruction.adam import Adam, Parameters
from ternc.reconstruction.cells import Cell
from ternc.reconstruction.start import Codes
from ternc.reconstruction.unrolled import Gradients
from ternc.reconstruction.unrolled_cells import states_of, unroll

Array = npt.NDArray[np.floating[Any]]

_STEPS: Final = 1500
_BATCH: Final = 64
_HOLD: Final = 0.7  # of the steps, after which codes stay
_RATE: Final = (0.003, 0.009)  # of the root mean square of the weights; with codes held
_SCALES: Final = 1 / 3  # of it, how fast their logarithms move
_NEAR: Final = 0.8  # how near to its code a real weight starts
_REACH: Final = 1.5  # in scales; beyond, a real weight that moves changes no code
_RESTARTS: Final = 3
_WORK: Final = 4e11  # multiply-accumulates of a fit, its restarts together


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
        found = states_of(cell.copies(1), self.x, *self.states)[0]
        return float((((found - self.goal) ** 2).sum(axis=(1, 2)) * self.share).sum())


def descend(cell: Cell, start: Codes, task: Task) -> Cell:
    """`cell` with ternary rows where `task` says, each a scale times -1, 0 and 1."""
    begin = replace(
        cell, w_bias=np.where(task.w_rows & task.r_rows, start.w_bias, cell.w_bias),
        w=np.where(task.w_rows[:, None], start.w * start.w_scale[:, None], cell.w),
        r=np.where(task.r_rows[:, None], start.r * start.r_scale[:, None], cell.r))
    each = 3 * task.x.shape[0] * min(task.x.shape[1], _BATCH) * (cell.w.size + cell.r.size)
    possible = int(_WORK // each)
    restarts = int(np.clip(possible // _STEPS, 1, _RESTARTS))
    found = _Descents(cell, begin, start, task, restarts).run(min(_STEPS, possible // restarts))
    return min((begin, *found), key=task.error)


class _Descents:
    """Descents side by side, in float32, which differ in the samples that they see when.

    What is learned is [descents, ...]; samples come last.
    """

    def __init__(self, cell: Cell, begin: Cell, start: Codes, task: Task, count: int) -> None:
        self.cell = cell.copies(count)
        self.generators = [np.random.default_rng(seed) for seed in range(count)]
        self.rows = {"w": task.w_rows[:, None], "r": task.r_rows[:, None]}
        self.codes = {"w": start.w.astype(np.float32), "r": start.r.astype(np.float32)}
        rows = cell.w_bias.shape
        shapes = {"w": cell.w.shape, "r": cell.r.shape, "w_bias": rows, "r_bias": rows,
                  "w_scale": rows, "r_scale": rows}
        self.values, self.slopes, self.sizes = (Parameters(count, shapes) for _ in range(3))
        for name, scale in (("w", start.w_scale), ("r", start.r_scale)):
            real, first = getattr(cell, name), getattr(begin, name)
            least = 1e-3 * float(np.abs(real).max()) + 1e-9
            self.values.named[name][:] = np.where(
                self.rows[name], _NEAR * first + (1 - _NEAR) * real, first)
            self.values.named[f"{name}_scale"][:] = np.log(np.maximum(scale, least))
            self.values.named[f"{name}_bias"][:] = getattr(begin, f"{name}_bias")
            for learned in (name, f"{name}_bias"):
                self.sizes.named[learned][:] = np.sqrt(np.mean(np.square(first))) + 1e-9
            self.sizes.named[f"{name}_scale"][:] = _SCALES
        self.held = False
        self.samples = task.x.shape[1]
        batch = min(self.samples, _BATCH)
        self.x, self.whole = (array.transpose(0, 2, 1).astype(np.float32)
                              for array in (task.x, task.goal))
        self.h, self.c = (array.T.astype(np.float32) for array in task.states)
        self.unrolled = unroll(self._real(), len(self.x), batch)
        self.goal = np.empty((len(self.x), count, cell.hidden, batch), np.float32)
        self.error = np.empty_like(self.goal)
        self.share = (2 / batch * task.share).astype(np.float32)[:, None, None, None]

    def run(self, steps: int) -> list[Cell]:
        """The cells after so many steps."""
        hold = int(_HOLD * steps)
        if self.rows["w"].any() or self.rows["r"].any():
            self._phase(hold, steps)
        self.held = True
        self._phase(steps - hold, steps - hold)
        found = self._real().map(lambda array: array.astype(np.float64))
        return [replace(found, w=w, r=r, w_bias=w_bias, r_bias=r_bias) for w, r, w_bias, r_bias in
                zip(found.w, found.r, found.w_bias, found.r_bias, strict=True)]

    def _phase(self, steps: int, whole: int) -> None:
        """`steps` of a course of `whole`, along which the rate falls to 0."""
        adam = Adam(self.values, self.sizes.flat * np.float32(_RATE[self.held]))
        for step in range(steps):
            if not self.held:
                self._round()
            self._take()
            states = self.unrolled.run(self._real())
            np.subtract(states, self.goal, out=self.error)
            self.error *= self.share
            self._slope(self.unrolled.gradients(self.error))
            adam.step(self.slopes, 0.5 * (1 + np.cos(np.pi * step / whole)))

    def _take(self) -> None:
        """The samples of one step."""
        into = self.unrolled
        for copy, generator in enumerate(self.generators):
            taken = generator.choice(self.samples, self.goal.shape[-1], replace=False)
            into.x[:, copy], self.goal[:, copy] = self.x[..., taken], self.whole[..., taken]
            into.h[copy], into.c[copy] = self.h[:, taken], self.c[:, taken]

    def _round(self) -> None:
        for name in ("w", "r"):
            scale = np.exp(self.values.named[f"{name}_scale"])[..., None]
            self.codes[name] = np.rint(np.clip(self.values.named[name] / scale, -1, 1))

    def _real(self) -> Cell:
        """The cells that these values stand for."""
        values = self.values.named
        w, r = (np.where(self.rows[name], self.codes[name]
                         * np.exp(values[f"{name}_scale"])[..., None], values[name])
                for name in ("w", "r"))
        return replace(self.cell, w=w, r=r, w_bias=values["w_bias"], r_bias=values["r_bias"])

    def _slope(self, found: Gradients) -> None:
        """The derivatives by the values, of those by the real weights and biases."""
        slopes = self.slopes.named
        slopes["w_bias"][:], slopes["r_bias"][:] = found.w_bias, found.r_bias
        for name, by_real in (("w", found.w), ("r", found.r)):
            scale = np.exp(self.values.named[f"{name}_scale"])[..., None]
            place, rows = self.values.named[name] / scale, self.rows[name]
            near = np.abs(place) <= 1
            follows = self.codes[name] - (0 if self.held else np.where(near, place, 0))
            slopes[f"{name}_scale"][:] = np.where(rows, by_real * follows * scale, 0).sum(axis=-1)
            stays = rows & (self.held | (np.abs(place) > _REACH))
            slopes[name][:] = np.where(stays, 0, by_real)

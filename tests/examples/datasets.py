"""The data of the accuracy table as PyTorch's tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.examples import arrays


@dataclass(frozen=True, slots=True)
class Split:
    """Samples and classes to train on, and those to test on once.

    `group` says which recording each training sample was cut from; None: each is one of its own.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    group: Tensor | None = None

    def held_out(self, share: float) -> Split:
        """A part of the training samples in the test samples' place, for choices."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(0))
        count = round(len(order) * share)
        return self._parted(order[count:], order[:count])

    def fold(self, index: int, count: int) -> Split:
        """For cross-validation: every `count`-th group of a class in the test samples' place."""
        group = torch.arange(len(self.x)) if self.group is None else self.group
        generator = torch.Generator().manual_seed(0)
        test = torch.zeros(len(self.x), dtype=torch.bool)
        for label in self.y.unique():
            groups = group[self.y == label].unique()
            groups = groups[torch.randperm(len(groups), generator=generator)]
            test |= torch.isin(group, groups[index::count]) & (self.y == label)
        return self._parted((~test).nonzero()[:, 0], test.nonzero()[:, 0])

    def _parted(self, train: Tensor, test: Tensor) -> Split:
        return Split(self.x[train], self.y[train], self.x[test], self.y[test])


def _tensors(load: Callable[..., arrays.Arrays]) -> Callable[..., Split]:
    @wraps(load)
    def loaded(folder: Path, **options: Any) -> Split:
        data = load(folder, **options)
        x, y, x_test, y_test = (
            torch.from_numpy(array) for array in (data.x, data.y, data.x_test, data.y_test))
        group = None if data.group is None else torch.from_numpy(data.group)
        return Split(x, y, x_test, y_test, group)

    return loaded


mnist = _tensors(arrays.mnist)
cifar10 = _tensors(arrays.cifar10)
fsdd = _tensors(arrays.fsdd)
exercises = _tensors(arrays.exercises)
series = _tensors(arrays.series)

"""Parts of the accuracy scripts: folds by recording, the mean of weights, augmentation."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

from tests.examples import augment  # noqa: E402
from tests.examples.datasets import Split  # noqa: E402
from tests.examples.training import Job, Recipe, train  # noqa: E402


class TestFold:
    # three recordings of four windows each, of two classes
    y = torch.arange(24) // 12
    group = torch.arange(24) // 4
    x = torch.arange(24.0)
    split = Split(x, y, x[:0], y[:0], group)

    def test_no_recording_is_on_both_sides(self) -> None:
        for index in range(3):
            fold = self.split.fold(index, 3)
            train, test = ({int(self.group[int(i)]) for i in part}
                           for part in (fold.x, fold.x_test))
            assert train.isdisjoint(test)
            assert sorted(fold.y_test.unique().tolist()) == [0, 1]

    def test_every_sample_is_held_out_once(self) -> None:
        held = torch.cat([self.split.fold(index, 3).x_test for index in range(3)])
        assert sorted(held.tolist()) == self.x.tolist()

    def test_samples_without_recordings_are_alone(self) -> None:
        alone = Split(self.x, self.y, self.x[:0], self.y[:0])
        assert len(alone.fold(0, 6).x_test) == 4


def trained(average: float, epochs: int = 4) -> Any:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    x, y = torch.randn(16, 3), torch.arange(16) % 4
    recipe = Recipe(epochs=epochs, batch=8, rate=0.1, average=average)
    train([Job("mean", model, x, y, augment.none, recipe, seed=0)], lambda _: None)
    return model


class TestMean:
    def test_of_two_steps(self) -> None:
        """Nothing forgotten: the plain mean of the weights after each step."""
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 4)
        x, y = torch.randn(16, 3), torch.arange(16) % 4
        job = Job("mean", model, x, y, augment.none,
                  Recipe(epochs=1, batch=8, rate=0.1, average=0.99), seed=0)
        job.shuffle()
        weights = []
        for _ in range(job.batches):
            job.step()
            job.advance()
            weights.append(model.weight.detach().clone())
        job.finish()
        torch.testing.assert_close(model.weight.detach(), torch.stack(weights).mean(0))
        assert not torch.equal(weights[0], weights[1])

    def test_statistics_too(self) -> None:
        last, mean = trained(0.0), trained(0.9)
        assert not torch.equal(last[1].running_mean, mean[1].running_mean)
        assert not mean.training


class TestDistort:
    def test_nothing_asked_for(self) -> None:
        x = torch.randn(5, 3, 40)
        same = augment.distort(x, torch.Generator().manual_seed(0), shift=0, warp=0, scale=0,
                               noise=0)
        torch.testing.assert_close(same, x)

    def test_turning_keeps_lengths(self) -> None:
        x = torch.randn(5, 3, 40)
        turned = augment.distort(x, torch.Generator().manual_seed(0), shift=0, warp=0, scale=0,
                                 noise=0, rotate=0.5)
        torch.testing.assert_close(turned.norm(dim=1), x.norm(dim=1))
        assert not torch.allclose(turned, x, atol=0.05)

    def test_a_ramp_is_shifted_by_no_more_than_asked(self) -> None:
        ramp = torch.arange(100.0).expand(50, 1, 100)
        moved = augment.distort(ramp, torch.Generator().manual_seed(0), shift=4, warp=0, scale=0,
                                noise=0)
        distance = (moved - ramp)[:, :, 10:90].abs()
        assert 3 < float(distance.max()) <= 4.001
        assert float(distance.std(2).max()) < 1e-4  # the same shift throughout a sample

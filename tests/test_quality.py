"""Accuracy, SQNR, and how sure a drop is."""

from __future__ import annotations

import numpy as np
import pytest

from ternc.quality import Scores, answer, margin, scores

RNG = np.random.default_rng(0)


def _right(answers: np.ndarray) -> Scores:
    return Scores(np.zeros(len(answers)), np.ones(len(answers)), answers)


def test_bound_holds_for_nineteen_of_twenty_drops() -> None:
    """Drops measured again and again on 400 samples: the true one is seldom above the bound."""
    missed = 0
    for _ in range(2000):
        before = RNG.random(400) < 0.9
        after = np.where(RNG.random(400) < 0.05, ~before, before)  # loses 4 points in truth
        missed += _right(after).drop_from(_right(before)).bound < 4.0
    assert 0.02 < missed / 2000 < 0.08


def test_no_difference_on_few_samples_proves_little() -> None:
    same = _right(np.ones(100, bool))
    assert same.drop_from(same).value == 0.0
    assert 1.0 < same.drop_from(same).bound < 3.0


def test_drop_in_decibels_has_the_spread_of_new_samples() -> None:
    """The standard error is that of drops measured again on other samples."""
    drops = []
    for _ in range(300):
        before, after = RNG.gamma(2.0, 1.0, 100), RNG.gamma(2.0, 3.0, 100)
        ones = np.ones(100)
        drops.append(Scores(after, ones, None).drop_from(Scores(before, ones, None)))
    assert np.mean([d.value for d in drops]) == pytest.approx(10 * np.log10(3), abs=0.1)
    assert np.mean([d.error for d in drops]) == pytest.approx(
        np.std([d.value for d in drops]), rel=0.15)


def test_no_error_at_all() -> None:
    outputs = [np.ones(3), np.zeros(3)]
    exact = scores(outputs, outputs, None)
    assert exact.quality == 200.0
    assert exact.drop_from(exact).value == 0.0
    assert np.isfinite(scores(outputs, [np.ones(3), np.ones(3)], None).drop_from(exact).value)


def test_loss_tells_apart_what_accuracy_does_not() -> None:
    """More noise loses more where every answer is still right; without labels it is the noise."""
    wanted = [np.eye(4)[label] for label in RNG.integers(0, 4, 200)]
    labels = np.array([answer(output) for output in wanted])
    noise = RNG.standard_normal((200, 4))
    exact = scores(wanted, wanted, labels)
    losses, accuracies = [], []
    for amount in (0.0, 0.1, 0.15, 0.2):
        got = [w + amount * n for w, n in zip(wanted, noise, strict=True)]
        found = scores(wanted, got, labels)
        losses.append(found.loss_from(exact))
        accuracies.append(found.quality)
        unlabelled = scores(wanted, got, None).loss_from(scores(wanted, wanted, None))
        assert unlabelled == pytest.approx(found.relative_noise)
    assert accuracies[:2] == [100.0, 100.0]
    assert losses == sorted(losses)
    assert losses[0] == 0.0 < losses[1]


@pytest.mark.parametrize(
    ("output", "label", "expected"),
    [(np.array([0.1, 0.7, 0.4]), 1, 0.3), (np.array([[0.1, 0.7, 0.4]]), 2, -0.3),
     (np.array([0.9]), 1, 0.4), (np.array([0.9]), 0, -0.4), (np.array([3]), 3, 1.0),
     (np.array([3]), 2, -1.0), (np.array([0.1, 0.2]), 7, -np.inf)])
def test_margin(output: np.ndarray, label: int, expected: float) -> None:
    assert margin(output, label) == pytest.approx(expected)
    assert (margin(output, label) > 0) == (answer(output) == label)

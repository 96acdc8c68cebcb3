"""What a digits model must do, whatever its accuracy says: invariance, direction, minimum functionality."""

from __future__ import annotations

import numpy as np
import torch
from quick import Quick

from payloads.training.evaluate import Evaluation
from payloads.training.model import Mlp

RNG = np.random.default_rng(0)


def test_rows_never_seen_are_recognised_in_every_class(quick: Quick):
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (quick.targets, quick.labels(quick.pixels)), 1)
    evaluation = Evaluation(confusion, loss=0.0)
    assert evaluation.accuracy >= 0.95
    assert evaluation.recalls.min() >= 0.85, "a model may not buy its accuracy with one class"


def test_the_average_image_of_each_class_is_that_class(quick: Quick):
    averages = np.stack([quick.pixels[quick.targets == target].mean(axis=0) for target in range(10)])
    assert quick.labels(averages).tolist() == list(range(10))
    assert quick.probabilities(averages).max(axis=1).min() > 0.9


def test_noise_of_half_a_grey_level_changes_no_answer(quick: Quick):
    noisy = np.clip(quick.pixels + RNG.normal(0, 0.5, quick.pixels.shape), 0, 16)
    same = quick.labels(noisy) == quick.labels(quick.pixels)
    assert same.mean() >= 0.98


def test_a_lighter_pen_changes_no_answer(quick: Quick):
    same = quick.labels(quick.pixels * 0.9) == quick.labels(quick.pixels)
    assert same.mean() >= 0.98


def test_an_image_turning_into_another_digit_moves_its_probability_there(quick: Quick):
    sevens = quick.pixels[quick.targets == 7]
    one = quick.pixels[quick.targets == 1].mean(axis=0)
    steps = [quick.probabilities(sevens * (1 - share) + one * share)[:, 1].mean() for share in (0, 0.35, 0.7, 1)]
    assert steps == sorted(steps)
    assert steps[0] < 0.05
    assert steps[-1] > 0.9


def test_losing_half_of_the_strokes_costs_confidence(quick: Quick):
    halved = quick.pixels.reshape(-1, 8, 8).copy()
    halved[:, 4:, :] = 0
    whole, half = quick.probabilities(quick.pixels), quick.probabilities(halved.reshape(-1, 64))
    rows = np.arange(len(quick.targets))
    assert half[rows, quick.targets].mean() < whole[rows, quick.targets].mean() - 0.2


def test_the_served_form_applies_the_scaler_that_training_applied(quick: Quick):
    """Training feeds standardised features to the network, serving raw pixels to the classifier: same logits."""
    mean, scale = quick.model.mean.numpy(), quick.model.scale.numpy()
    with torch.inference_mode():
        trained_on = quick.model.network(torch.from_numpy((quick.pixels - mean) / scale))
        served = quick.model(torch.from_numpy(quick.pixels))
    torch.testing.assert_close(served, trained_on)


def test_hidden_2048_is_the_34_megabyte_model_of_the_benchmark():
    size = sum(parameter.numel() * parameter.element_size() for parameter in Mlp(64, 10, 2048, 3, 0.3).parameters())
    assert 34e6 < size < 35e6

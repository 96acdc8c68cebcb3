"""What may replace the champion."""

from __future__ import annotations

import numpy as np
import pytest

from payloads.training.evaluate import Evaluation, judge


def evaluation(correct: int, wrong: int) -> Evaluation:
    return Evaluation(confusion=np.array([[correct, wrong], [0, 0]]), loss=0.1)


@pytest.mark.parametrize(
    ("challenger", "champion", "passed", "reason"),
    [
        (evaluation(95, 5), None, True, "passes the gate of 0.9500 and there was no champion"),
        (evaluation(949, 51), None, False, "0.9490 is below the gate of 0.9500"),
        (evaluation(97, 3), evaluation(98, 2), False, "0.9700 is below the champion's 0.9800"),
        (evaluation(98, 2), evaluation(98, 2), True, "the champion has 0.9800"),
        (evaluation(99, 1), evaluation(98, 2), True, "the champion has 0.9800"),
        (evaluation(90, 10), evaluation(80, 20), False, "below the gate"),
    ],
)
def test_a_model_must_be_good_and_no_worse(
    challenger: Evaluation, champion: Evaluation | None, passed: bool, reason: str
):
    verdict = judge(challenger, champion, least_accuracy=0.95)
    assert verdict.passed is passed
    assert reason in verdict.reason


def test_recall_of_a_class_without_rows_is_zero_not_an_error():
    assert evaluation(9, 1).recalls.tolist() == [0.9, 0.0]

"""The digit that is asked about is scikit-learn's own, read without importing it."""

from __future__ import annotations

from sklearn.datasets import load_digits

from local.up.digit import real_digit


def test_the_digit_is_the_last_of_scikit_learns() -> None:
    digits = load_digits()
    found = real_digit()
    assert list(found.pixels) == [int(value) for value in digits.data[-1]]
    assert found.label == int(digits.target[-1])

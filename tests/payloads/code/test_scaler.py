"""The scaler's statistics, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from payloads.data.scaler import Moments, Scaler

RNG = np.random.default_rng(0)


def test_blocks_of_any_size_give_what_one_pass_gives():
    rows = RNG.normal(1e6, 3.0, size=(1000, 5))  # a mean far from zero is where sums of squares lose precision
    blocks = np.array_split(rows, [1, 2, 10, 400, 990])
    scaler = Scaler.fit(Moments.of(block) for block in blocks)
    reference = StandardScaler().fit(rows)
    np.testing.assert_allclose(scaler.mean, reference.mean_, rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, reference.scale_, rtol=1e-6)


def test_a_feature_that_never_varies_becomes_zero_not_a_division_by_zero():
    scaler = Scaler.fit([Moments.of(np.full((10, 2), 7.0))])
    assert (scaler.transform(np.full((3, 2), 7.0)) == 0).all()


def test_a_feature_that_hardly_varies_is_not_blown_up():
    rows = RNG.normal(0, [10.0, 0.01], size=(1000, 2))
    scaler = Scaler.fit([Moments.of(rows)])
    assert scaler.scale[1] == pytest.approx(0.15 * scaler.scale[0])


def test_features_that_are_not_of_one_kind_are_scaled_each_by_its_own():
    rows = RNG.normal(0, [10.0, 0.01, 0.0], size=(1000, 3))
    scaler = Scaler.fit([Moments.of(rows)], least_share=0)
    np.testing.assert_allclose(scaler.scale[:2], rows.std(axis=0)[:2], rtol=1e-6)
    assert scaler.scale[2] == 1


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        Scaler.fit([])


def test_it_survives_the_artifact_it_is_kept_in():
    scaler = Scaler.fit([Moments.of(RNG.normal(size=(50, 4)))])
    again = Scaler.from_json(scaler.to_json())
    assert (again.mean == scaler.mean).all()
    assert (again.scale == scaler.scale).all()

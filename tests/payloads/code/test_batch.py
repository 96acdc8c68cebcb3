"""The parts of the batch inference that need neither Ray nor S3."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from payloads.batch import sample, stages
from payloads.batch.stages import Job


def test_the_sample_is_the_same_whatever_part_of_it_is_asked_for_again():
    assert sample.table(0, 50).equals(sample.table(0, 50))
    assert not sample.table(0, 50)["pixels"].equals(sample.table(1797, 50)["pixels"]), "each copy has its own noise"


@pytest.mark.parametrize(
    "spoilt",
    [None, [], [1.0] * 63, [1.0] * 65, [float("nan")] + [1.0] * 63, [None] + [1.0] * 63, [-1.0] * 64, [16.5] * 64],
)
def test_a_row_that_is_no_image_is_told_from_its_neighbours(spoilt: list | None):
    rows = pa.chunked_array([[[2.0] * 64, spoilt], [[3.0] * 64]], pa.list_(pa.float32()))
    matrix, usable = stages.checked(rows)
    assert usable.tolist() == [0, 2]
    assert matrix.shape == (3, 64)
    assert matrix[2].tolist() == [3.0] * 64


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"id": pa.int32(), "pixels": pa.list_(pa.uint8(), 64)}, None),
        ({"id": pa.int64(), "pixels": pa.large_list(pa.float64()), "more": pa.string()}, None),
        ({"id": pa.string(), "pixels": pa.list_(pa.float32())}, "has column id as string"),
        ({"id": pa.int64(), "pixels": pa.string()}, "has column pixels as string"),
        ({"pixels": pa.list_(pa.float32())}, "has not one column id"),
    ],
)
def test_a_file_without_ids_and_pixels_is_refused_before_any_row_is_read(schema: dict, fault: str | None):
    assert stages.misfit(pa.schema(schema)) == fault


@pytest.mark.parametrize(("units", "sizes"), [([0, 0, 1], [2, 2, 1]), ([0, 0, 0], [4, 4, 4])])
def test_a_block_that_is_not_one_whole_unit_is_never_written(units: list[int], sizes: list[int]):
    table = pa.table({"id": [1, 2, 3], "unit": np.array(units), "of": np.array(sizes)})
    with pytest.raises(RuntimeError, match="is not one unit"):
        stages.write(table, Job(None, "nowhere"), "1")  # type: ignore[arg-type]

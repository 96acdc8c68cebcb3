"""The parts of the feature pipeline that need neither Ray nor S3."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.data.parquet import Source, SourceFile, read, survey, units
from payloads.data.splits import TEST, TRAIN, VALIDATION, Fractions, assign, draw
from payloads.features import contract, cuts, frame, sample, transform
from payloads.features.check import reasons
from payloads.features.expression import evaluate

CONTRACT = contract.load("interactions")
ROW = {
    "age": 30,
    "sessions": 3,
    "minutes": 60.0,
    "pages": 2.0,
    "searches": 1.0,
    "purchases": 0,
    "spend": 9.5,
    "refunds": 0.0,
    "rating": None,
    "tenure_days": 7,
    "latency_ms": 80.0,
    "errors": 0,
    "newsletter": True,
    "plan": "plus",
    "feature_vec": [0.5] * 8,
}


def conformed(**columns: list) -> pa.Table:
    """One good row for each value, with these columns in place of its own."""
    rows = len(next(iter(columns.values())))
    good = {"row_id": 1, "label": "neutral", "country": "de", **ROW}
    table = {name: columns.get(name, [good[name]] * rows) for name in CONTRACT.names}
    return pa.table(table, schema=frame.empty_frame(CONTRACT).schema)


def good_rows(rows: int = 2000) -> pa.Table:
    table = frame.conform(sample.table(0, rows), CONTRACT)
    found = reasons(table, CONTRACT)
    return table.filter(pa.array(~np.logical_or.reduce(list(found.values()))))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("row_id", None, "row_id: missing"),
        ("label", None, "label: missing"),
        ("label", "furious", "label: not one of the declared values"),
        ("age", -1, "age: below 0"),
        ("age", 121, "age: above 120"),
        ("minutes", float("nan"), "minutes: missing"),
        ("minutes", float("inf"), "minutes: not finite"),
        ("minutes", None, "minutes: missing"),
        ("rating", 5.5, "rating: above 5"),
        ("newsletter", None, "newsletter: missing"),
        ("plan", "gold", "plan: not one of the declared values"),
        ("feature_vec", None, "feature_vec: not a vector of 8 numbers"),
        ("feature_vec", [1.0] * 7, "feature_vec: not a vector of 8 numbers"),
        ("feature_vec", [1.0] * 7 + [None], "feature_vec: not finite"),
        ("feature_vec", [1.0] * 7 + [float("-inf")], "feature_vec: not finite"),
        ("feature_vec", [1.0] * 7 + [101.0], "feature_vec: above 100"),
    ],
)
def test_a_bad_value_has_one_reason_and_its_neighbours_have_none(column: str, value: object, reason: str):
    fine = {"row_id": 1, "label": "neutral", **ROW}[column]
    table = conformed(**{column: [fine, value, fine]})
    found = reasons(table, CONTRACT)
    assert {name: mask.tolist() for name, mask in found.items()} == {reason: [False, True, False]}


def test_a_rating_may_be_missing_because_the_contract_says_so():
    assert reasons(conformed(rating=[None, float("nan"), 3.0]), CONTRACT) == {}


def test_a_row_that_breaks_two_columns_has_both_reasons():
    found = reasons(conformed(age=[-1], plan=["gold"]), CONTRACT)
    assert list(found) == ["age: below 0", "plan: not one of the declared values"]


def test_an_id_beyond_what_a_float_holds_stays_what_it_is():
    large = 2**62 + 1
    assert reasons(conformed(row_id=[large]), CONTRACT) == {}
    assert conformed(row_id=[large])["row_id"].to_pylist() == [large]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("age >= 18", [False, True, True]),
        ("age >= 18 and plan != 'free'", [False, False, True]),
        ("age < 18 or plan == 'team'", [True, False, True]),
        ("not age < 18", [False, True, True]),
        ("plan in ('free', 'plus')", [True, True, False]),
        ("plan not in ('free', 'plus')", [False, False, True]),
        ("rating is None", [False, False, True]),
        ("rating is not None and rating > 2", [True, False, False]),
        ("rating not in (3.0,)", [False, True, False]),
        ("spend / age > 0.4", [True, False, False]),
        # 0 / 0 is no number, and no number is greater than another
        ("spend / (age - 40) > -1", [True, True, False]),
    ],
)
def test_a_filter_keeps_what_it_says(text: str, kept: list[bool]):
    table = conformed(age=[17, 18, 40], plan=["free", "free", "team"], rating=[3.0, 1.0, None], spend=[9.0, 0.0, 0.0])
    assert evaluate(text, table).to_pylist() == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "is not allowed"),
        ("(lambda: age)()", "is not allowed"),
        ("age.x > 1", "is not allowed"),
        ("[age for age in (1,)]", "is not allowed"),
        ("agee > 1", "agee is not a column"),
        ("age > 'x'", "compares what cannot be compared"),
        ("age + 1", "is not true or false"),
        ("age >", "is not an expression"),
    ],
)
def test_a_filter_that_is_none_is_refused_before_any_data_is_read(text: str, words: str):
    with pytest.raises(PayloadError, match=words.replace("(", r"\(")) as refused:
        contract.read(f"name: x\ncolumns: {_columns()}\nkeep: {text!r}", "contract x")
    assert "\n" not in str(refused.value)


def _columns() -> str:
    return (
        "[{name: id, type: integer, role: id}, {name: y, type: text, role: label, values: [a, b]}, "
        "{name: age, type: integer}]"
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("[{name: a, type: integer}]", "role id"),
        ("[{name: id, type: integer, role: id}, {name: a, type: integer}]", "role label"),
        ("[{name: id, type: vector, role: id}]", "every vector has one"),
        ("[{name: a, type: text}]", "lists its values"),
        ("[{name: a, type: text, values: [x, x]}]", "listed twice"),
        ("[{name: a, type: number, minimun: 1}]", "columns.0.minimun"),
        ("[{name: a, type: float}]", "columns.0.type"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused_in_a_sentence(columns: str, words: str):
    with pytest.raises(PayloadError, match=words):
        contract.read(f"name: x\ncolumns: {columns}", "contract x")


def test_an_unknown_contract_is_named_with_where_to_write_it():
    with pytest.raises(PayloadError, match=r"payloads/features/contracts/nothing\.yaml"):
        contract.load("nothing")


@pytest.mark.parametrize(
    ("types", "fault"),
    [
        ({"age": pa.int8(), "spend": pa.float32(), "plan": pa.dictionary(pa.int8(), pa.string())}, None),
        ({"feature_vec": pa.list_(pa.float32(), 8), "label": pa.large_string(), "minutes": pa.int64()}, None),
        ({"age": pa.float64()}, "has column age as double, and the contract says integer"),
        ({"plan": pa.int32()}, "has column plan as int32, and the contract says text"),
        ({"feature_vec": pa.list_(pa.string())}, "has column feature_vec as list"),
        ({"age": None}, "has no column age"),
    ],
)
def test_a_file_may_be_narrower_than_the_contract_but_not_another(types: dict, fault: str | None):
    fields = {column.name: frame.arrow_type(column) for column in CONTRACT.columns} | types
    schema = pa.schema([(name, there) for name, there in fields.items() if there is not None])
    found = frame.misfit(schema, CONTRACT)
    assert found is None if fault is None else fault in (found or "")
    if fault is None:
        assert frame.conform(schema.empty_table(), CONTRACT).schema == frame.empty_frame(CONTRACT).schema


def test_blocks_of_any_size_have_the_moments_of_the_whole():
    table = good_rows()
    whole = transform.moments(CONTRACT, table)
    total = transform.moments(CONTRACT, table.slice(0, 0))
    for first in range(0, table.num_rows, 337):
        total = total.merge(transform.moments(CONTRACT, table.slice(first, 337)))
    np.testing.assert_allclose(total.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(total.squares, whole.squares, rtol=1e-10)
    assert (total.count == whole.count).all()
    ratings = table["rating"].drop_null().to_numpy()
    place = transform.scaled_names(CONTRACT).index("rating")
    assert whole.count[place] == len(ratings) < table.num_rows, "missing ratings do not count"
    assert whole.mean[place] == pytest.approx(ratings.mean())


def test_standardised_columns_have_mean_zero_and_deviation_one():
    table = good_rows()
    fitted = transform.fit(CONTRACT, transform.moments(CONTRACT, table))
    features = fitted.apply(table)
    assert features.dtype == np.float32
    assert features.shape == (table.num_rows, len(fitted.names)) == (table.num_rows, 24)
    dense = [name not in ("rating", "newsletter") and not name.startswith("plan=") for name in fitted.names]
    np.testing.assert_allclose(features[:, dense].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features[:, dense].std(axis=0), 1, atol=1e-4)
    one_hot = features[:, [name.startswith("plan=") for name in fitted.names]]
    assert (one_hot.sum(axis=1) == 1).all()


def test_a_large_time_stamp_keeps_its_differences():
    """In float32, 1.7e9 and 1.7e9 + 60 are one number."""
    stamps = [1_700_000_000 + 60 * index for index in range(100)]
    table = conformed(tenure_days=stamps)
    fitted = transform.fit(CONTRACT, transform.moments(CONTRACT, table))
    column = fitted.apply(table)[:, fitted.names.index("tenure_days")]
    assert len(set(column.tolist())) == 100


def test_a_column_that_never_varies_becomes_zero():
    table = conformed(age=[40] * 5)
    fitted = transform.fit(CONTRACT, transform.moments(CONTRACT, table))
    assert (fitted.apply(table)[:, fitted.names.index("age")] == 0).all()


def test_a_request_gets_the_features_that_training_gave_the_same_row():
    table = good_rows()
    fitted = transform.fit(CONTRACT, transform.moments(CONTRACT, table))
    served = transform.Transform.from_json(fitted.to_json())
    assert (served.apply_rows(table.to_pylist()) == fitted.apply(table)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": 200}, "row 1: age: above 120"),
        ({"plan": "gold"}, "row 1: plan: not one of the declared values"),
        ({"age": "young"}, "not of its column's type"),
        ({"feature_vec": [1.0]}, "not a vector of 8 numbers"),
    ],
)
def test_a_request_that_breaks_the_contract_is_refused_as_a_training_row_would_be(change: dict, words: str):
    fitted = transform.fit(CONTRACT, transform.moments(CONTRACT, good_rows(1000)))
    with pytest.raises(ValueError, match=words):
        fitted.apply_rows([ROW, {**ROW, **change}])


@pytest.mark.parametrize("rows", [60, 3_000, 300_000])
def test_each_class_has_its_share_however_many_rows_there_are(rows: int):
    ids = np.arange(rows)
    codes = ids % 3
    draws = draw(ids, seed=42)
    counts = sum(cuts.histogram(draws[part], codes[part], 3) for part in np.array_split(ids, 7))
    where = cuts.cut(counts, ("a", "b", "c"), Fractions(0.1, 0.2), seed=42)
    found = assign(ids, codes, where)
    of_class = rows / 3
    for code in range(3):
        shares = [(found[codes == code] == name).sum() for name in (VALIDATION, TEST, TRAIN)]
        wanted = [0.1 * of_class, 0.2 * of_class, 0.7 * of_class]
        np.testing.assert_allclose(shares, wanted, atol=max(1, 3 * of_class / cuts.BUCKETS))


def test_a_class_with_too_few_rows_to_split_is_named():
    codes = np.array([0] * 100 + [1] * 2)
    counts = cuts.histogram(draw(np.arange(102), seed=1), codes, 2)
    with pytest.raises(ValueError, match="class b has 2 rows"):
        cuts.cut(counts, ("a", "b"), Fractions(0.1, 0.1), seed=1)


def test_units_hold_every_row_group_once_and_know_where_they_start():
    groups = {"a": (10, 10, 50, 5), "b": (), "c": (7,)}
    source = Source(tuple(SourceFile(name, 1, 1, rows) for name, rows in groups.items()), {})
    planned = units(source, largest_rows=25)
    assert [(unit.path, unit.row_groups, unit.first_row, unit.rows) for unit in planned] == [
        ("a", (0, 1), 0, 20),
        ("a", (2,), 20, 50),
        ("a", (3,), 70, 5),
        ("c", (0,), 0, 7),
    ]
    assert [unit.index for unit in planned] == [0, 1, 2, 3]


def test_the_sample_spoils_one_row_in_a_hundred_in_every_way():
    found = reasons(frame.conform(sample.table(0, 5000), CONTRACT), CONTRACT)
    assert {reason: int(mask.sum()) for reason, mask in found.items()} == {reason: 10 for _, reason in sample.FAULTS}


def test_columns_outside_the_contract_are_never_fetched(tmp_path: Path):
    """The comments alone are more than half of the file."""
    rows = 5000
    plain = sample.table(0, rows)
    noise = np.random.default_rng(0).bytes(200 * rows)
    comments = [noise[200 * row : 200 * row + 200].hex() for row in range(rows)]
    pq.write_table(plain.set_column(plain.num_columns - 1, "comment", pa.array(comments)), tmp_path / "a.parquet")
    local = Storage(pyarrow.fs.LocalFileSystem(), str(tmp_path))  # type: ignore[arg-type]
    (unit,) = units(survey(local, "", lambda schema: frame.misfit(schema, CONTRACT)), largest_rows=rows)
    fetched: list[int] = []

    def open_counted(path: str) -> pa.PythonFile:
        return pa.PythonFile(_Counted(path, fetched), mode="r")

    counted = Storage(SimpleNamespace(open_input_file=open_counted), str(tmp_path))  # type: ignore[arg-type]
    assert read(counted, unit, CONTRACT.names).column_names == CONTRACT.names
    assert 0 < sum(fetched) < (tmp_path / "a.parquet").stat().st_size / 2


class _Counted:
    """A file that notes how many bytes were read from it."""

    def __init__(self, path: str, fetched: list[int]) -> None:
        self.file = Path(path).open("rb")  # noqa: SIM115  closed by close
        self.fetched = fetched

    def read(self, size: int = -1) -> bytes:
        found = self.file.read(size)
        self.fetched.append(len(found))
        return found

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()

    @property
    def closed(self) -> bool:
        return self.file.closed

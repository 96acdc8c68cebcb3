"""The lines that the infrastructure reads from a driver's log."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from payloads.common import reporting
from payloads.common.settings import Platform
from payloads.common.storage import tries
from payloads.training.settings import TrainSettings
from payloads.training.train import run_key

PLATFORM = Platform(storage="s3://manta", mlflow_uri="http://m", bundle_hash="b1", image="i1")
DATA = SimpleNamespace(fingerprint="f1")


def test_a_text_of_several_lines_stays_one_progress_line(capsys: pytest.CaptureFixture[str]):
    reporting.progress("first\nresult: {}")
    assert capsys.readouterr().out == "progress: first result: {}\n"


def test_the_result_is_one_line_of_json(capsys: pytest.CaptureFixture[str]):
    reporting.result({"accuracy": 0.98, "reason": "a\nb"})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line.removeprefix("result: ")) == {"accuracy": 0.98, "reason": "a\nb"}


def test_a_result_that_no_json_reader_takes_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        reporting.result({"accuracy": float("nan")})


def test_a_run_is_itself_again_only_with_everything_equal():
    settings = TrainSettings(run_name="a")
    key = run_key(settings, PLATFORM, DATA)
    assert key.startswith("a-")
    assert key == run_key(TrainSettings(run_name="a"), PLATFORM, DATA), "a retry must find its checkpoint"
    others = [
        run_key(TrainSettings(run_name="a", lr=0.01), PLATFORM, DATA),
        run_key(settings, PLATFORM.model_copy(update={"bundle_hash": "b2"}), DATA),
        run_key(settings, PLATFORM.model_copy(update={"image": "i2"}), DATA),
        run_key(settings, PLATFORM, SimpleNamespace(fingerprint="f2")),
    ]
    assert len({key, *others}) == 5, "a checkpoint of other code, data or parameters belongs to another model"


def test_patience_becomes_tries_of_the_s3_client():
    assert tries(0) == 4
    assert tries(180) == 22

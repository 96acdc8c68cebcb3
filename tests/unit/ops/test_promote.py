"""Promotion: the paired test, the stack file, and both with models in a registry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from scipy.stats import binomtest

from local.errors import MantaError
from ops.promote import command, models
from ops.promote.stackfile import pin, read_model
from payloads.training.paired import compare, p_value
from tests.own_mlflow import default_restored

PROJECT = Path(__file__).resolve().parents[3]
FILE = """\
# who reads this
config:
  manta:name: digits
  manta:applications:
    - name: digits  # the one
      args:
        model_name: digits
        max_batch_size: 64  # rows
      deployments: [{name: classifier}]
"""


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (10, 2), (2, 10), (400, 300), (3000, 2900)])
def test_the_probability_is_that_of_an_exact_binomial_test(gained: int, lost: int):
    wanted = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert p_value(gained, lost) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("gained", "lost", "outcome"), [(10, 1, "better"), (1, 10, "worse"), (4, 1, "undecided"), (0, 0, "undecided")]
)
def test_only_rows_that_differ_decide(gained: int, lost: int, outcome: str):
    champion = [True] * 500 + [False] * gained + [True] * lost + [False] * 30
    challenger = [True] * 500 + [True] * gained + [False] * lost + [False] * 30
    found = compare(champion, challenger)
    assert (found.gained, found.lost, found.rows) == (gained, lost, 530 + gained + lost)
    assert found.outcome(0.05) == outcome


def test_a_pin_changes_one_line_and_keeps_the_rest(tmp_path: Path):
    path = tmp_path / "Pulumi.serve-x.yaml"
    path.write_text(FILE)
    assert read_model(path) == ("digits", None)
    pin(path, "7")
    assert path.read_text() == FILE.replace(
        "        model_name: digits\n", '        model_name: digits\n        model_version: "7"\n'
    )
    pin(path, "12")
    assert read_model(path) == ("digits", "12")
    assert path.read_text().count("model_version") == 1
    assert yaml.safe_load(path.read_text())["config"]["manta:applications"][0]["args"]["max_batch_size"] == 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config: {}\n", "has no args of an application"),
        ("config: [\n", "is not YAML"),
        (FILE.replace("        model_name: digits\n", ""), "serves no model by name"),
    ],
)
def test_a_file_that_serves_no_model_is_refused(tmp_path: Path, text: str, words: str):
    path = tmp_path / "Pulumi.serve-x.yaml"
    path.write_text(text)
    with pytest.raises(MantaError, match=words):
        read_model(path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A registry with four versions: a fair one, a better one, one that guesses, one that held out other rows."""
    folder = tmp_path_factory.mktemp("registry")
    with default_restored():
        yield _filled(models.Registry(f"sqlite:///{folder}/mlflow.db"), folder)


def _filled(registry: Any, folder: Path) -> Any:
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from payloads.data import digits, splits

    table = digits.build_table()
    pixels, labels = digits.pixel_matrix(table), np.array(table["label"].to_pylist()).astype(int)
    cuts = splits.cut_points(table["id"].to_numpy(), labels.astype(str), splits.Fractions(0.15, 0.15), seed=42)
    train = splits.assign(table["id"].to_numpy(), labels, cuts) == splits.TRAIN
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 64))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 10))]),
    )
    experiment = registry.client.create_experiment("digits", artifact_location=f"file://{folder}/artifacts")
    registry.client.create_registered_model("digits")
    for rows, seed in ((60, 42), (1000, 42), (3, 42), (1000, 7)):
        linear = torch.nn.Linear(64, 10)
        wanted = np.eye(10)[labels[train][:rows]]
        inputs = np.hstack([pixels[train][:rows], np.ones((rows, 1))])
        weights = np.linalg.lstsq(inputs.T @ inputs + np.eye(65), inputs.T @ wanted, rcond=None)[0]
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights[:64].T.copy()))
            linear.bias.copy_(torch.from_numpy(weights[64].copy()))
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_params({"split_seed": seed, "validation_fraction": 0.15, "test_fraction": 0.15})
            mlflow.set_tag("manta.dataset", digits.fingerprint(table))
            info = mlflow.pytorch.log_model(
                linear.eval(),
                name="model",
                input_example=pixels[:2],
                signature=signature,
                pip_requirements=[],
                metadata={"classes": [str(digit) for digit in range(10)]},
            )
        registry.client.create_model_version("digits", source=info.model_uri, run_id=run.info.run_id)
    registry.crown("digits", "1")
    return registry


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Any) -> Path:
    """A checkout with one serving stack, whose champion is version 1."""
    path = tmp_path / "stacks" / "Pulumi.serve-x.yaml"
    path.parent.mkdir()
    path.write_text(FILE)
    monkeypatch.setattr(command, "CHECKOUT", tmp_path)
    registry.crown("digits", "1")
    return path


def promoted(registry: Any, version: str, **flags: Any) -> bool:
    """Run the command; whether it ended well."""
    defaults = {"alpha": 0.05, "allow_equal": False, "rollback": False, "mlflow": registry.uri, "json": False}
    try:
        command.promote("serve-x", version, **{**defaults, **flags})
    except typer.Exit as end:
        return end.exit_code == 0
    return True


def test_a_better_version_becomes_champion_and_is_pinned(registry: Any, stack: Path, capsys: Any):
    assert promoted(registry, "2")
    assert registry.champion("digits") == "2"
    assert read_model(stack) == ("digits", "2")
    said = capsys.readouterr().out
    assert "the challenger is better" in said
    assert "`pulumi up -s serve-x` serves it" in said


def test_a_worse_version_changes_nothing(registry: Any, stack: Path, capsys: Any):
    assert not promoted(registry, "3", allow_equal=True)
    assert registry.champion("digits") == "1"
    assert stack.read_text() == FILE
    assert "the challenger is worse" in capsys.readouterr().out


def test_going_back_is_the_same_command(registry: Any, stack: Path):
    assert promoted(registry, "2")
    assert not promoted(registry, "1"), "it is worse, and nobody said that this is a rollback"
    assert promoted(registry, "1", rollback=True)
    assert registry.champion("digits") == "1"
    assert read_model(stack) == ("digits", "1")


def test_versions_that_held_out_other_rows_are_not_compared(registry: Any, stack: Path):
    with pytest.raises(MantaError, match="held out other rows \\(split_seed differ"):
        promoted(registry, "4")


@pytest.mark.parametrize(("version", "words"), [("1", "is the one in use"), ("99", "has no version 99")])
def test_a_version_that_cannot_be_promoted_is_said_so(registry: Any, stack: Path, version: str, words: str):
    with pytest.raises(MantaError, match=words):
        promoted(registry, version)


def test_a_server_that_is_away_is_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "ops", "promote", "serve-local", "--version", "1", "--mlflow", "http://127.0.0.1:1"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "error: the MLflow server http://127.0.0.1:1 does not answer" in done.stderr
    assert "Traceback" not in done.stderr

"""Flags come from the settings model, and a mistake in one costs a sentence, not a traceback."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from payloads.common.cli import parse, render
from payloads.common.errors import PayloadError
from payloads.training.settings import TrainSettings

PROJECT = Path(__file__).resolve().parents[3]
MODULE = "payloads.training.train"
HEAVY = ("torch", "ray", "mlflow", "pyarrow", "sklearn", "numpy")


def test_dashes_and_underscores_are_the_same_flag():
    with_dashes = parse(TrainSettings, "", ["--run-name", "a", "--weight-decay", "0.01"])
    assert parse(TrainSettings, "", ["--run_name", "a", "--weight_decay", "0.01"]) == with_dashes
    assert with_dashes.weight_decay == 0.01


def test_a_value_may_follow_an_equals_sign_and_keep_spaces():
    settings = parse(TrainSettings, "", ["--run-name=a", "--experiment=two words; $(x)"])
    assert settings.experiment == "two words; $(x)", "values never pass through a shell"


def test_rendered_flags_parse_back_to_equal_settings():
    settings = TrainSettings(run_name="a", lr=0.02, cache_shard=False, experiment="two words")
    assert parse(TrainSettings, "", render(settings)) == settings


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--run-name is required (--help lists the flags)"),
        (["--run-name", "a", "--epochz", "3"], "unknown argument --epochz: did you mean --epochs?"),
        (["--run-name", "a", "--epochs", "0"], "--epochs: Input should be greater than or equal to 1 (got '0')"),
        (["--run-name", "a", "--epochs", "many"], "--epochs: Input should be a valid integer"),
        (["--run-name", "Bad_Name"], "--run-name: String should match pattern"),
        (["--run-name", "a", "--lr"], "expected one argument"),
        (["--run-name", "a", "--lr", "nan"], "--lr:"),
        (["--run-name", "a", "--num-workers", "9", "--batch-size", "8"], "batch_size 8 is less than num_workers 9"),
    ],
)
def test_a_wrong_flag_is_named_in_one_sentence(arguments: list[str], sentence: str):
    with pytest.raises(PayloadError) as refused:
        parse(TrainSettings, "", arguments)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_help_needs_only_the_bundle_and_imports_nothing_heavy(tmp_path: Path):
    """The bundle is a zip on PYTHONPATH in every Ray pod, so the modules must work from inside one."""
    bundle = tmp_path / "payloads.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        for path in sorted((PROJECT / "payloads").rglob("*.py")):
            archive.write(path, path.relative_to(PROJECT).as_posix())
    script = (
        f"import runpy, sys; sys.argv = ['train', '--help']\n"
        f"try: runpy.run_module({MODULE!r}, run_name='__main__')\n"
        f"except SystemExit as end: assert not end.code\n"
        f"import payloads; assert '.zip' in payloads.__file__\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(bundle)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--gate-accuracy" in done.stdout
    assert "heavy: []" in done.stdout, "help must not wait for torch, Ray or MLflow"


def test_a_missing_variable_ends_with_one_line_and_status_1(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "--run-name", "a"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: environment variable MANTA_STORAGE is not set: ")


def test_every_payload_package_has_a_test():
    tested = "\n".join(path.read_text() for path in (PROJECT / "tests" / "payloads").rglob("test_*.py"))
    for package in sorted(path.parent.name for path in (PROJECT / "payloads").glob("*/__init__.py")):
        assert f"payloads.{package}" in tested, f"payloads/{package} has no test"

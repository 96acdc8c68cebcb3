"""What makes a run a run, and a bundle that is the same on every machine."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import pytest

from infra.errors import MantaError, RuleError, SettingsError
from infra.ray import bundle, naming
from infra.stack import MAX_RUN

IMAGE = "localhost/manta/ray@sha256:" + "a" * 64


def test_a_run_is_its_name_code_image_and_parameters() -> None:
    base = naming.run_name("digits", "c0de", IMAGE, {"lr": 0.1})
    assert naming.run_name("digits", "c0de", IMAGE, {"lr": 0.1}) == base, "the same run must find its checkpoints"
    others = {
        naming.run_name("letters", "c0de", IMAGE, {"lr": 0.1}),
        naming.run_name("digits", "beef", IMAGE, {"lr": 0.1}),
        naming.run_name("digits", "c0de", IMAGE.replace("a", "b"), {"lr": 0.1}),
        naming.run_name("digits", "c0de", IMAGE, {"lr": 0.2}),
        naming.run_name("digits", "c0de", IMAGE, {"lr": "0.1"}),
    }
    assert len(others) == 5
    assert base not in others


def test_the_order_of_parameters_does_not_matter() -> None:
    assert naming.run_name("a", "c", IMAGE, {"x": 1, "y": 2}) == naming.run_name("a", "c", IMAGE, {"y": 2, "x": 1})


def test_the_longest_run_that_a_stack_may_name_fits_into_kuberays_limit() -> None:
    assert len(naming.run_name("x" * MAX_RUN, "c", IMAGE, {})) == naming.MAX_RAY_JOB


@pytest.mark.parametrize("name", ["Digits", "1digits", "digits-", "di_gits", "", "x" * 48, "digits\n"])
def test_names_that_kuberay_would_refuse_are_refused(name: str) -> None:
    with pytest.raises(RuleError, match="47"):
        naming.checked(name, naming.MAX_RAY_JOB)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "payloads"
    (folder / "training").mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Payloads."""\n')
    (folder / "training" / "__init__.py").write_text("")
    (folder / "training" / "train.py").write_text("print('hello')\n")
    return folder


def test_the_same_files_give_the_same_bytes_whenever_and_wherever(package: Path, tmp_path: Path) -> None:
    first = bundle.build(package)
    for path in package.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    copy = tmp_path / "elsewhere" / "payloads"
    copy.parent.mkdir()
    package.rename(copy)
    assert bundle.build(copy) == first


def test_imports_work_from_the_zip(package: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.build(package).content)) as archive:
        names = archive.namelist()
    assert names == ["payloads/__init__.py", "payloads/training/__init__.py", "payloads/training/train.py"]


def test_what_is_no_code_stays_out(package: Path) -> None:
    before = bundle.build(package).hash
    (package / "Dockerfile").write_text("FROM scratch")
    (package / "requirements.txt").write_text("torch")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (package / ".secret.py").write_text("x = 1")
    assert bundle.build(package).hash == before


def test_a_changed_or_renamed_file_changes_the_hash(package: Path) -> None:
    before = bundle.build(package).hash
    (package / "training" / "train.py").write_text("print('other')\n")
    changed = bundle.build(package).hash
    (package / "training" / "train.py").rename(package / "training" / "fit.py")
    assert len({before, changed, bundle.build(package).hash}) == 3


def test_a_bundle_over_a_mebibyte_names_the_largest_files(package: Path) -> None:
    (package / "weights.json").write_text(random.Random(0).randbytes(1_500_000).hex())
    with pytest.raises(MantaError, match=r"takes \d+ KiB and a ConfigMap holds 1016") as caught:
        bundle.build(package)
    assert "payloads/weights.json (2929 KiB)" in str(caught.value)


@pytest.mark.parametrize("module", ["payloads.training.train", "payloads.training", "torch.distributed.run"])
def test_a_module_that_is_there_or_may_be_in_the_image_is_accepted(package: Path, module: str) -> None:
    bundle.check_module(bundle.build(package), module, "entrypoint", "train-local")


def test_a_module_that_the_bundle_lacks_is_refused_before_anything_runs(package: Path) -> None:
    with pytest.raises(SettingsError, match=r"manta:entrypoint=payloads.training.trian cannot be imported") as caught:
        bundle.check_module(bundle.build(package), "payloads.training.trian", "entrypoint", "train-local")
    assert "did you mean payloads.training.train?" in str(caught.value)


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MantaError, match="no Python package at"):
        bundle.build(tmp_path)

"""The pull request that names a pushed image, against an API that keeps branches, files and pull requests."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.image import named
from tests.unit.ops.json_server import JsonServer, Request

PROJECT = Path(__file__).resolve().parents[3]
FILE = "stacks/Pulumi.platform-dev.yaml"
TEXT = (PROJECT / FILE).read_text()
IMAGE = f"111122223333.dkr.ecr.us-east-1.amazonaws.com/manta-dev/ray@sha256:{'ab' * 32}"
BRANCH = "image-dev-abababababab"


def test_the_digest_changes_and_nothing_else() -> None:
    changed = named(TEXT, IMAGE, FILE)
    assert changed is not None
    before, after = TEXT.splitlines(), changed.splitlines()
    assert [new.strip() for old, new in zip(before, after, strict=True) if old != new] == [f"ray: {IMAGE}"]
    assert yaml.safe_load(changed)["config"]["manta:images"]["ray"] == IMAGE
    assert named(changed, IMAGE, FILE) is None


@pytest.mark.parametrize(
    ("text", "words"), [("config: {}\n", "has no manta:images.ray"), ("a: [", "is not YAML"), ("", "has no manta:imag")]
)
def test_a_file_that_names_no_image_is_refused(text: str, words: str) -> None:
    with pytest.raises(MantaError, match=words):
        named(text, IMAGE, FILE)


class Repository:
    """GitHub's API as far as a change of one file goes, over HTTP."""

    def __init__(self) -> None:
        self.branches = {"main": TEXT}
        self.pulls: list[dict[str, Any]] = []
        self.writes: list[str] = []
        self.server = JsonServer(self.respond)

    def respond(self, request: Request) -> tuple[int, Any]:
        if request.method == "GET":
            return 200, self.read(request)
        self.writes.append(request.path)
        body = request.body
        if request.method == "PUT":
            assert body["sha"] == str(hash(self.branches[body["branch"]]))
            self.branches[body["branch"]] = base64.b64decode(body["content"]).decode()
        elif request.path.endswith("/git/refs"):
            assert body["sha"] == "main's commit"
            self.branches[body["ref"].removeprefix("refs/heads/")] = self.branches["main"]
        else:
            self.pulls.append({**body, "html_url": "https://github.com/o/n/pull/1"})
            return 201, self.pulls[-1]
        return 201, body

    def read(self, request: Request) -> Any:
        if "/contents/" in request.path:
            text = self.branches[request.query.removeprefix("ref=")]
            return {"sha": str(hash(text)), "content": base64.encodebytes(text.encode()).decode()}
        if "/matching-refs/" in request.path:
            wanted = request.path.partition("/matching-refs/heads/")[2]
            return [{"ref": name} for name in self.branches if name.startswith(wanted)]
        if "/git/ref/" in request.path:
            return {"object": {"sha": "main's commit"}}
        head = request.query.partition("head=")[2]
        return [each for each in self.pulls if f"o:{each['head']}" == head]


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    monkeypatch.setenv("GITHUB_API_URL", repository.server.url)
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    yield repository
    repository.server.end()


def bump() -> Any:
    return CliRunner().invoke(app, ["image", "bump", IMAGE, "--environment", "dev", "--repository", "o/n"])


def test_a_pushed_image_becomes_one_pull_request_however_often_it_is_proposed(repository: Repository) -> None:
    first = bump()
    assert first.exit_code == 0, first.output
    assert first.stdout == "https://github.com/o/n/pull/1\n"
    assert repository.branches == {"main": TEXT, BRANCH: named(TEXT, IMAGE, FILE)}
    (pull,) = repository.pulls
    assert (pull["head"], pull["base"]) == (BRANCH, "main")
    assert IMAGE in pull["body"]

    written = len(repository.writes)
    assert bump().stdout == first.stdout
    assert len(repository.writes) == written


def test_an_image_that_is_named_already_opens_nothing(repository: Repository) -> None:
    repository.branches["main"] = named(TEXT, IMAGE, FILE) or ""
    assert f"names {IMAGE} already" in bump().stdout
    assert repository.writes == []


@pytest.mark.parametrize(
    "verb", [["sign"], ["name", "--output", "dev"], ["bump", "--environment=dev", "--repository=o/n"]]
)
@pytest.mark.parametrize(
    "image", ["registry/ray:latest", f"registry/ray:1@sha256:{'A' * 64}", "--yes@sha256:" + "a" * 64]
)
def test_an_image_that_is_named_by_a_tag_is_refused(verb: list[str], image: str) -> None:
    refused = CliRunner().invoke(app, ["image", *verb, "--", image])
    assert isinstance(refused.exception, MantaError)
    assert "is no image by digest" in str(refused.exception)


def test_without_cosign_nothing_is_called_signed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = CliRunner().invoke(app, ["image", "sign", IMAGE])
    assert "cosign is not on PATH" in str(refused.exception)
    assert "signed" not in refused.stdout

"""The pull request that names a pushed image, against an API that keeps branches, files and pull requests."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.image import named

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
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if "/contents/" in path:
                    text = repository.branches[query.removeprefix("ref=")]
                    self.answer({"sha": str(hash(text)), "content": base64.encodebytes(text.encode()).decode()})
                elif "/matching-refs/" in path:
                    wanted = path.partition("/matching-refs/heads/")[2]
                    self.answer([{"ref": name} for name in repository.branches if name.startswith(wanted)])
                elif "/git/ref/" in path:
                    self.answer({"object": {"sha": "main's commit"}})
                else:
                    head = query.partition("head=")[2]
                    self.answer([each for each in repository.pulls if f"o:{each['head']}" == head])

            def do_POST(self) -> None:
                body = self.body()
                if self.path.endswith("/git/refs"):
                    assert body["sha"] == "main's commit"
                    repository.branches[body["ref"].removeprefix("refs/heads/")] = repository.branches["main"]
                    self.answer(body)
                else:
                    repository.pulls.append({**body, "html_url": "https://github.com/o/n/pull/1"})
                    self.answer(repository.pulls[-1])

            def do_PUT(self) -> None:
                body = self.body()
                assert body["sha"] == str(hash(repository.branches[body["branch"]]))
                repository.branches[body["branch"]] = base64.b64decode(body["content"]).decode()
                self.answer({})

            def body(self) -> dict[str, Any]:
                repository.writes.append(self.path)
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, value: Any) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{repository.server.server_port}")
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    yield repository
    repository.server.shutdown()


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

"""What is broken, foreign, hostile or refused: one sentence, a documented exit status, and never a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.preflight import aws, stackfile
from ops.prices.table import load
from ops.report.markdown import MOST, comment
from ops.report.read import parse, parse_refresh
from ops.report.weigh import weigh
from tests.unit.ops.previews import BUCKET, DEPLOYMENT, POOL, RAY_JOB, RAY_SERVICE, digest, policy, step, stream, urn
from tests.unit.ops.test_preflight import write as write_stack

STEPS = (
    step("update", DEPLOYMENT, "operator", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}),
    step("replace", BUCKET, "models", {"bucket": "a"}, {"bucket": "b"}, protect=True, forced_by=["bucket"]),
    step("update", POOL, "gpu", {"spec": {"limits": {"nvidia.com/gpu": 4}}}, {"spec": {"limits": {"cpu": "4"}}}),
    step("create", RAY_JOB, "job", new={"spec": {"rayClusterSpec": {"workerGroupSpecs": [{"replicas": 2}]}}}),
    step("update", RAY_SERVICE, "service", {"spec": {"serveConfigV2": "a"}}, {"spec": {"serveConfigV2": "b"}}),
    step("delete", "aws:ec2/instance:Instance", "old", {"instanceType": "g5.xlarge", "tags": {"a": "b"}}),
)
SAID = [policy("ray-head-idle", "the head offers 2 CPUs", resource=urn(RAY_JOB, "job"))]
# What may stand where something else was expected.
ODD: list[Any] = [
    None,
    True,
    -1,
    1e400,
    "",
    "x" * 5000,
    [],
    {},
    [None],
    {"": None},
    "\u202e`|\x1b",
    {"kind": []},
    [[["a"]]],
]


def bent(value: Any, choice: random.Random) -> Any:
    """`value` with one thing in it taken away, put elsewhere, or made something else."""
    result = copy.deepcopy(value)
    place: Any = result
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return result
        key = choice.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and choice.random() < 0.8:
            place = place[key]
            continue
        if choice.random() < 0.25:
            del place[key]
        else:
            place[key] = choice.choice(ODD)
        return result


def reported(text: str) -> str:
    """The comment on `text`, or the sentence that says why there is none."""
    try:
        preview = parse(text, "platform-prod", "head.json")
    except MantaError as error:
        return error.sentence
    found = comment([weigh(preview, preview, load(), frozenset())], load())
    assert len(found) <= MOST
    assert "\x1b" not in found
    assert "\u202e" not in found
    return found


@pytest.mark.parametrize("seed", range(40))
def test_a_preview_that_is_not_as_pulumi_writes_it_is_read_or_refused(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(10):
        events = [json.loads(line) for line in stream(*STEPS, policies=SAID).splitlines()]
        assert reported("\n".join(json.dumps(event) for event in bent(events, choice)))
        assert reported(json.dumps(bent(json.loads(digest(*STEPS)), choice)))


@pytest.mark.parametrize("seed", range(10))
def test_a_preview_that_is_cut_off_anywhere_is_never_taken_for_a_whole_one(seed: int) -> None:
    choice = random.Random(seed)
    for text in (stream(*STEPS, policies=SAID), digest(*STEPS)):
        cut = text[: choice.randrange(len(text) - 2)]
        with pytest.raises(MantaError):
            parse(cut, "platform-prod", "head.json")


@pytest.mark.parametrize("seed", range(10))
def test_a_refresh_that_is_not_as_pulumi_writes_it_is_read_or_refused(seed: int) -> None:
    choice = random.Random(seed)
    events = [json.loads(line) for line in stream(*STEPS).replace("resourcePreEvent", "resOutputsEvent").splitlines()]
    for _ in range(10):
        # Anything but a refusal in one sentence would leave the block.
        with contextlib.suppress(MantaError):
            read = parse_refresh("\n".join(json.dumps(event) for event in bent(events, choice)), "platform-prod", "x")
            assert {change.operation for change in read.changes} <= {"create", "update", "replace", "delete"}
            assert all(isinstance(change.urn, str) for change in read.changes)


@pytest.fixture
def previews(tmp_path: Path) -> Path:
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "platform-prod.json").write_text(stream(STEPS[0]))
    return tmp_path


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"null", b"<html>502</html>"])
def test_of_many_stacks_one_whose_preview_cannot_be_read_blocks_and_is_named(previews: Path, content: bytes) -> None:
    (previews / "head" / "serve-prod.json").write_bytes(content)
    out = previews / "comment.md"
    result = CliRunner().invoke(app, ["report", str(previews / "head"), "--out", str(out)])
    assert result.exit_code == 1
    text = out.read_text()
    assert "- `serve-prod`: **the preview failed**" in text
    assert "changed `operator`" in text  # what can be read is shown all the same


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe"])
def test_a_base_branch_that_cannot_be_previewed_stops_no_change(previews: Path, content: bytes | None) -> None:
    if content is not None:
        (previews / "base").mkdir()
        (previews / "base" / "platform-prod.json").write_bytes(content)
    result = CliRunner().invoke(app, ["report", str(previews / "head"), "--base", str(previews / "base")])
    assert result.exit_code == 0, result.output
    assert "no preview of the base branch" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "nowhere"],
        ["report", "."],
        ["report", "{head}", "--expect", "not json"],
        ["report", "{head}", "--expect", '["../../etc/passwd"]'],
        ["report", "{file}"],
        ["drift", "platform-prod", "--recorded", "{file}"],
        ["drift", "platform-prod", "--recorded", "nowhere"],
        ["publish", "nowhere.md", "--repository", "o/n", "--number", "1"],
        ["publish", "{file}", "--repository", "o/n/../x", "--number", "1"],
        ["changed", "--base", "--upload-pack=x"],
        ["changed", "--base", "no-such-commit"],
        ["preflight", "../etc"],
        ["preview", "platform-prod", "--out", "{folder}/out", "--policies", "nowhere"],
        ["deploy", "platform-prod", "--plan", "{file}"],
        ["runs", "clean", "--older-than", "soon"],
        ["cost", "platform-prod"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_given_what_it_cannot_use_says_so(
    previews: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(previews)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    (previews / "file.bin").write_bytes(b"\x00\xff")
    places = {"head": str(previews / "head"), "file": str(previews / "file.bin"), "folder": str(previews)}
    result = CliRunner().invoke(app, [argument.format(**places) for argument in arguments])
    assert isinstance(result.exception, MantaError), result
    assert "\n" not in result.exception.sentence
    assert "t0ken" not in result.exception.sentence


class Throttled(BaseHTTPRequestHandler):
    """AWS on a bad day: it knows who asks, and answers nothing else."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        identity = "GetCallerIdentity" in body
        text = (
            "<GetCallerIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><GetCallerIdentityResult>"
            "<Account>123456789012</Account><Arn>a</Arn><UserId>u</UserId></GetCallerIdentityResult>"
            "</GetCallerIdentityResponse>"
            if identity
            else "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow "
            "down</Message></Error></Errors>"
            "<RequestID>1</RequestID></Response>"
        )
        self.send_response(200 if identity else 503)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Throttled)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    # Botocore waits between its tries; how long is not what is tested here.
    monkeypatch.setattr(aws, "_TRIES", Config(retries={"max_attempts": 1, "mode": "standard"}))
    yield
    server.shutdown()
    server.server_close()


def test_an_aws_that_throttles_is_unknown_and_never_well(throttled: None, tmp_path: Path) -> None:
    wanted = stackfile.read(write_stack(tmp_path), "platform-prod")
    found = list(aws.check(wanted, aws.Account(wanted.region)))
    assert [each.says for each in found if each.check == "credentials"] == ["account 123456789012"]
    others = [each for each in found if each.check != "credentials"]
    assert {each.status for each in others} == {"unknown"}
    assert any("ask again in a minute" in each.says for each in others)

"""The summariser's parts: requests, a model's files on the storage, and generation that ends when nobody waits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.fs
import pytest
import torch
from shop import Folder
from writing import scribbler

from payloads.common.errors import PayloadError
from payloads.serving.http import RefusedError
from payloads.serving.text import app, schemas
from payloads.serving.text.generate import End, Generator, Part, Piece, TooLong
from payloads.serving.text.schemas import Asked, TextArgs
from payloads.text import network, store
from payloads.text.loop import measure, train_epoch
from payloads.text.notes import note, notes

TEXT = note(3, 0).text


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return Folder(pyarrow.fs.LocalFileSystem(), str(tmp_path / "bucket"))  # type: ignore[arg-type]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    for part in scribbler():
        part.save_pretrained(folder)
    return folder


def parts_of(generator: Generator, text: str = TEXT, most: int = 12, deadline_s: float = 60) -> list[Part]:
    async def go() -> list[Part]:
        return [part async for part in generator.stream(text, most, deadline_s)]

    return asyncio.run(go())


@pytest.mark.parametrize("endless", [False, True])
def test_pieces_add_up_to_what_the_library_generates_at_once(endless: bool):
    model, tokenizer = scribbler(endless)
    *pieces, end = parts_of(Generator(model, tokenizer))
    (whole,) = network.summarise(model, tokenizer, [TEXT], 12)
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces).strip() == whole.strip()  # type: ignore[union-attr]
    assert isinstance(end, End)
    assert (end.tokens, end.finish) == (12, "length")


def test_a_model_that_has_said_all_stops_there():
    model, tokenizer = scribbler()
    first = model.generate(**network.encode(tokenizer, [note(3, 0)], torch.device("cpu")), max_new_tokens=1)[0, -1]
    sure = Generator(model, tokenizer)
    tokenizer_end = tokenizer.eos_token_id
    try:
        tokenizer.eos_token_id = model.generation_config.eos_token_id = int(first)
        *_, end = parts_of(sure)
    finally:
        tokenizer.eos_token_id = model.generation_config.eos_token_id = tokenizer_end
    assert end == End(1, "stop")


def test_a_prefix_is_read_and_a_text_that_is_too_long_is_not():
    model, tokenizer = scribbler()
    tokens = len(tokenizer(TEXT)["input_ids"])
    assert parts_of(Generator(model, tokenizer, max_input_tokens=tokens))[-1] == End(12, "length")
    assert parts_of(Generator(model, tokenizer, max_input_tokens=tokens - 1)) == [TooLong(tokens)]
    prefixed = Generator(model, tokenizer, prefix="sales of ", max_input_tokens=tokens)
    assert parts_of(prefixed) == [TooLong(len(tokenizer("sales of " + TEXT)["input_ids"]))]
    assert prefixed.report()["tokens"] == 0


def test_at_the_deadline_it_stops():
    generator = Generator(*scribbler(endless=True))
    *_, end = parts_of(generator, most=4000, deadline_s=0.3)
    assert isinstance(end, End)
    assert end.finish == "late"
    assert 0 < end.tokens < 4000
    assert generator.report() | {"tokens": 0} == {
        "running": 0, "finished": 0, "late": 1, "abandoned": 0, "failed": 0, "tokens": 0,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_where_nobody_listens_any_more_generation_stops(how: str):
    generator = Generator(*scribbler(endless=True))

    async def read_on(parts: AsyncIterator[Part]) -> None:
        async for _ in parts:
            pass

    async def go() -> int:
        parts = generator.stream(TEXT, 4000, 60)
        await anext(parts)
        if how == "closed":
            await parts.aclose()  # type: ignore[attr-defined]
        else:
            reading = asyncio.create_task(read_on(parts))
            await asyncio.sleep(0.1)
            reading.cancel()
            await asyncio.wait([reading])
        await asyncio.sleep(0.2)  # the token that was under way
        seen = generator.report()["tokens"]
        await asyncio.sleep(0.2)
        return seen

    seen = asyncio.run(go())
    assert generator.report() | {"tokens": 0} == {
        "running": 0, "finished": 0, "late": 0, "abandoned": 1, "failed": 0, "tokens": 0,
    }  # fmt: skip
    assert 0 < generator.report()["tokens"] == seen < 4000


def test_a_model_that_fails_midway_fails_the_stream_and_does_not_hang():
    model, tokenizer = scribbler()

    class Broken:
        device = model.device

        def generate(self, streamer: Any, **_: Any) -> None:
            streamer.put(torch.tensor([[0]]))
            raise RuntimeError("the GPU is gone")

    generator = Generator(Broken(), tokenizer)
    with pytest.raises(RuntimeError, match="the GPU is gone"):
        parts_of(generator)
    assert generator.report()["failed"] == 1


def test_a_model_comes_back_from_the_storage_as_it_was_put(storage: Folder, saved: Path, tmp_path: Path):
    version = store.put(storage, "tiny", saved)
    assert store.put(storage, "tiny", saved) == version, "the same content is the same version"
    with pytest.raises(PayloadError, match=r"has no latest.json"):
        store.latest(storage, "tiny")
    store.publish(storage, "tiny", store.put(storage, "tiny", saved))
    back = tmp_path / "back"
    back.mkdir()
    store.fetch(storage, "tiny", store.latest(storage, "tiny"), back)
    assert network.summarise(*network.load(back), [TEXT], 8) == network.summarise(*scribbler(), [TEXT], 8)


def test_files_that_may_hold_code_are_not_put(storage: Folder, saved: Path):
    (saved / "pytorch_model.bin").write_bytes(b"pickle")
    (saved / "modeling.py").write_text("boom")
    version = store.put(storage, "tiny", saved)
    names = set(storage.read_json(f"text/tiny/{version}/manifest.json")["files"])  # type: ignore[index]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "modeling.py"}


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_without_all_of_a_model_is_refused(storage: Folder, saved: Path, missing: str):
    (saved / missing).unlink()
    with pytest.raises(PayloadError, match=missing.removeprefix("model.")):
        store.put(storage, "tiny", saved)


def test_a_damaged_or_cut_off_version_is_not_served(storage: Folder, saved: Path, tmp_path: Path):
    version = store.put(storage, "tiny", saved)
    weights = Path(storage.path(f"text/tiny/{version}/model.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(PayloadError, match=r"model.safetensors is not what its manifest says"):
        store.fetch(storage, "tiny", version, tmp_path)
    Path(storage.path(f"text/tiny/{version}/manifest.json")).unlink()
    with pytest.raises(PayloadError, match="was cut off"):
        store.fetch(storage, "tiny", version, tmp_path)


def test_a_folder_that_is_no_seq2seq_model_is_named(saved: Path):
    (saved / "config.json").write_text('{"model_type": "bert", "vocab_size": 10}')
    with pytest.raises(PayloadError, match="no seq2seq model"):
        network.load(saved)


def test_notes_repeat_and_differ_and_hold_their_summary():
    assert notes(1, 5, 3) == [note(1, 5), note(1, 6), note(1, 7)]
    assert len({each.text for each in notes(1, 0, 200)}) == 200
    for each in notes(1, 0, 50):
        assert all(word in each.text.split() for word in each.summary.split() if word != "of")


def test_training_steps_lower_the_loss_on_other_notes():
    torch.manual_seed(0)
    _, tokenizer = scribbler()
    model = network.make_model(tokenizer, 16, 1)
    device, held_out = torch.device("cpu"), notes(5, 1000, 16)
    before, _ = measure(model, tokenizer, held_out, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    train_epoch(model, tokenizer, optimizer, notes(5, 0, 128), 16, 0, device)
    after, accuracy = measure(model, tokenizer, held_out, device)
    assert after < before - 1
    assert 0 < accuracy <= 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is empty"),
        (b'{"text": "a', 400, "not valid JSON"),
        (b'{"text": "\xff"}', 400, "not valid JSON"),
        (b'{"text": "\\ud800"}', 400, "not valid JSON"),
        (b'["secret"]', 422, "not a JSON object with text"),
        (b"{}", 422, "text: "),
        (b'{"text": ""}', 422, "text: "),
        (b'{"text": 5}', 422, "text: "),
        (b'{"text": "a", "max_new_tokens": 0}', 422, "max_new_tokens: "),
        (b'{"text": "a", "max_new_tokens": 33}', 422, "max_new_tokens: it is more than 32"),
        (b'{"text": "a", "max_new_tokens": null}', 422, "max_new_tokens: "),
        (b'{"text": "a", "max_new_tokens": Infinity}', 422, "max_new_tokens: "),
        (b'{"text": "a", "secret": 1}', 422, "a key other than text and max_new_tokens"),
    ],
)
def test_a_request_is_checked_strictly_and_not_repeated(body: bytes, status: int, words: str):
    with pytest.raises(RefusedError, match=words) as refusal:
        schemas.parse(body, most=32)
    assert refusal.value.status == status
    assert "secret" not in refusal.value.sentence


def test_without_a_number_of_tokens_the_largest_is_meant():
    assert schemas.parse(b'{"text": "a"}', 32) == Asked("a", 32)
    assert schemas.parse(b'{"text": "a", "max_new_tokens": 3}', 32) == Asked("a", 3)


class Reply:
    """What a handle gives for a streaming call, without Ray: parts, then possibly an error or silence."""

    def __init__(self, parts: list[Part], then: Exception | None, hangs: bool) -> None:
        self.parts, self.then, self.hangs, self.cancelled = iter(parts), then, hangs, False

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> tuple[str, Part]:
        for part in self.parts:
            return "abc", part
        if self.hangs:
            await asyncio.sleep(60)
        raise self.then or StopAsyncIteration

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    def __init__(self, *parts: Part, then: Exception | None = None, hangs: bool = False) -> None:
        self.reply = Reply(list(parts), then, hangs)
        self.write = self

    def options(self, **_: Any) -> Handle:
        return self

    def remote(self, *_: Any) -> Reply:
        return self.reply


def ask(handle: Handle, path: str = "/summarise/stream") -> httpx.Response:
    async def go() -> httpx.Response:
        api = app.Text(TextArgs(deadline_s=0.2), handle).__serve_build_asgi_app__()  # type: ignore[arg-type]
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, json={"text": "a"}, headers={"x-request-id": "r1"})

    return asyncio.run(go())


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_is_pieces_and_an_end():
    answer = ask(Handle(Piece("sales "), Piece("rose"), End(3, "stop")))
    end = {"summary": "sales rose", "tokens": 3, "finish": "stop", "model_version": "abc", "request_id": "r1"}
    assert events(answer) == [("piece", {"text": "sales "}), ("piece", {"text": "rose"}), ("end", end)]
    assert ask(Handle(Piece("sales "), Piece("rose"), End(3, "stop")), "/summarise").json() == end


@pytest.mark.parametrize(
    ("parts", "then", "status", "words"),
    [
        ([TooLong(600)], None, 422, "text: it has 600 tokens, more than 512"),
        ([End(0, "late")], None, 504, "not complete within 0.2 s"),
        ([], RuntimeError("tell-no-one"), 500, "its log tells why"),
    ],
)
@pytest.mark.parametrize("path", ["/summarise", "/summarise/stream"])
def test_what_fails_before_the_first_piece_has_a_status_of_its_own(
    parts: list[Part], then: Exception | None, path: str, status: int, words: str
):
    answer = ask(Handle(*parts, then=then), path)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("handle", "status"),
    [
        (Handle(Piece("a "), End(1, "late")), 504),
        (Handle(Piece("a "), hangs=True), 504),
        (Handle(Piece("a "), then=RuntimeError("tell-no-one")), 500),
    ],
)
def test_what_fails_later_is_an_error_event_and_ends_the_writing(handle: Handle, status: int):
    started = time.monotonic()
    answer = ask(handle)
    piece, (name, data) = events(answer)
    assert piece == ("piece", {"text": "a "})
    assert (name, data["status"], data["request_id"]) == ("error", status, "r1")
    assert "tell-no-one" not in answer.text
    assert handle.reply.cancelled
    assert time.monotonic() - started < 30

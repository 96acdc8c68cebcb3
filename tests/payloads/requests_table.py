"""Requests that must be refused, used against the HTTP code alone and against real Ray Serve.

Each is (name, content type, body, status, words of the sentence). MARKER stands in every body that can hold it: no
answer may repeat it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

JSON = "application/json"
MARKER = "tell-no-one"
GOOD = [0.0] * 64


class Bad(NamedTuple):
    name: str
    content_type: str
    body: bytes
    status: int
    words: str


def _row(value: str) -> bytes:
    return ('{"pixels":[' + ",".join(["1"] * 63 + [value]) + "]}").encode()


BAD_REQUESTS = [
    Bad("empty", JSON, b"", 400, "the body is empty"),
    Bad("broken json", JSON, b'{"pixels":[1,2', 400, "not valid JSON"),
    Bad("text", JSON, MARKER.encode(), 400, "not valid JSON"),
    Bad("invalid utf-8", JSON, b'{"pixels":["\xff\xfe"]}', 400, "not valid JSON"),
    Bad("lone surrogate", JSON, b'{"\\ud800":1}', 400, "not valid JSON"),
    Bad("deep nesting", JSON, b"[" * 5000, 400, "not valid JSON"),
    Bad("two documents", JSON, b'{"pixels":[1]}{}', 400, "not valid JSON"),
    Bad("array", JSON, json.dumps([MARKER]).encode(), 422, "not a JSON object"),
    Bad("null", JSON, b"null", 422, "not a JSON object"),
    Bad("no key", JSON, b"{}", 422, "either pixels"),
    Bad("both keys", JSON, json.dumps({"pixels": GOOD, "rows": [GOOD]}).encode(), 422, "not both"),
    Bad("extra key", JSON, json.dumps({"pixels": GOOD, MARKER: 1}).encode(), 422, "a key other than"),
    Bad("null pixels", JSON, b'{"pixels":null}', 422, "pixels: "),
    Bad("pixels is text", JSON, json.dumps({"pixels": MARKER}).encode(), 422, "pixels: "),
    Bad("too few", JSON, json.dumps({"pixels": GOOD[:63]}).encode(), 422, "at least 64"),
    Bad("too many", JSON, json.dumps({"pixels": [*GOOD, 1]}).encode(), 422, "at most 64"),
    Bad("nested", JSON, json.dumps({"pixels": [GOOD]}).encode(), 422, "pixels"),
    Bad("text pixel", JSON, _row('"2"'), 422, "pixels[63]: "),
    Bad("secret pixel", JSON, _row(f'"{MARKER}"'), 422, "pixels[63]: "),
    Bad("boolean pixel", JSON, _row("true"), 422, "pixels[63]: "),
    Bad("null pixel", JSON, _row("null"), 422, "pixels[63]: "),
    Bad("NaN", JSON, _row("NaN"), 422, "finite"),
    Bad("Infinity", JSON, _row("Infinity"), 422, "pixels[63]: "),
    Bad("minus Infinity", JSON, _row("-Infinity"), 422, "pixels[63]: "),
    Bad("1e999", JSON, _row("1e999"), 422, "pixels[63]: "),
    Bad("a thousand digits", JSON, _row("1" * 1000), 422, "pixels[63]: "),
    Bad("above the range", JSON, _row("16.5"), 422, "less than or equal to 16"),
    Bad("below the range", JSON, _row("-0.5"), 422, "greater than or equal to 0"),
    Bad("no rows", JSON, b'{"rows":[]}', 422, "at least 1"),
    Bad("a short row", JSON, json.dumps({"rows": [GOOD, GOOD[:5]]}).encode(), 422, "rows[1]: "),
    Bad("too many rows", JSON, json.dumps({"rows": [[0] * 64] * 1025}).encode(), 422, "more than 1024"),
    Bad("large", JSON, b" " * (1 << 20) + b"{}", 413, "larger than 1048576 bytes"),
    Bad("ten megabytes", JSON, json.dumps({"pixels": [1.5] * 2_500_000}).encode(), 413, "larger than"),
    Bad("form", "application/x-www-form-urlencoded", json.dumps({"pixels": GOOD}).encode(), 415, "content type"),
    Bad("no type", "", json.dumps({"pixels": GOOD}).encode(), 415, "content type"),
]

"""Bodies that must be refused by the pipeline, used against its decoder alone and against real Ray Serve."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image

PNG, JPEG, NPY = "image/png", "image/jpeg", "application/x-npy"


class BadImage(NamedTuple):
    name: str
    content_type: str
    body: bytes
    status: int
    words: str


def as_png(image: np.ndarray) -> bytes:
    return _saved(image, "PNG")


def as_jpeg(image: np.ndarray) -> bytes:
    return _saved(image, "JPEG")


def as_npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]


def _saved(image: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


SHEET = np.random.default_rng(0).integers(0, 255, (96, 96), np.uint8)

BAD_IMAGES = [
    BadImage("empty", PNG, b"", 400, "the body is empty"),
    BadImage("text", PNG, b"tell-no-one", 400, "not a PNG"),
    BadImage("a GIF", PNG, b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", 400, "not a PNG"),
    BadImage("only the magic of a PNG", PNG, b"\x89PNG\r\n\x1a\n", 400, "not a PNG or JPEG image"),
    BadImage("only the magic of a JPEG", JPEG, b"\xff\xd8\xff", 400, "not a PNG or JPEG image"),
    BadImage("a PNG cut off", PNG, as_png(SHEET)[:4000], 400, "damaged or cut off"),
    BadImage("a JPEG cut off", JPEG, as_jpeg(SHEET)[:2000], 400, "damaged or cut off"),
    BadImage("a PNG with a flipped bit", PNG, flipped(as_png(SHEET), 4000), 400, "damaged or cut off"),
    BadImage("many pixels in few bytes", PNG, bomb(30_000, 30_000), 422, "more than 16000000 pixels"),
    BadImage("more pixels than Pillow takes", PNG, bomb(2**31 - 1, 2**31 - 1), 422, "more than 16000000 pixels"),
    BadImage("pixels that are promised and missing", PNG, bomb(500, 500), 400, "damaged or cut off"),
    BadImage("one pixel", PNG, as_png(SHEET[:1, :1]), 422, "less than 8 pixels"),
    BadImage("an array of floats", NPY, as_npy(SHEET.astype(np.float32)), 422, "not uint8"),
    BadImage("an array of four channels", NPY, as_npy(np.zeros((9, 9, 4), np.uint8)), 422, "not uint8"),
    BadImage("an array cut off", NPY, as_npy(SHEET)[:-1], 400, "damaged or cut off"),
    BadImage("an array of objects", NPY, as_npy(np.array([[{}]], object)), 422, "not uint8"),
    BadImage("an array that is promised", NPY, as_npy(SHEET).replace(b"(96, 96)", b"(9999,9999)"[:8]), 400, "damaged"),
    BadImage("JSON", "application/json", b"{}", 415, "the content type is not image/png or image/jpeg"),
    BadImage("no content type", "", as_png(SHEET), 415, "the content type is not image/png"),
]

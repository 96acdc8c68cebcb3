"""Real images that come with scikit-learn, written as image files, one folder a class, for storage that has none yet.

digits: the 1,797 scans of handwritten digits, PNG of 8 x 8 in grey. photos: two photographs (a temple, a flower) cut
into JPEG tiles of 32 x 32 that share no pixel. Broken files lie among both, one of each kind of `broken`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from payloads.common.storage import Storage

AT_ONCE = 16
TILE = 32
# Intensities are 0 to 16; this is the largest whole step that keeps 16 below 256.
STEP = 15
# A bomb's width and height: its file has 200 bytes, its pixels would take 10 GB.
BOMB_SIDE = 100_000


def ensure(storage: Storage, folder: str, kind: str, most: int) -> None:
    """Write the first `most` images of a sample and the broken files below `folder` unless they are there.

    The note of what is there is written last, so that a writer that was killed is simply repeated.
    """
    note = {"sample": kind, "images": most}
    if storage.read_json(f"{folder}/_sample.json") == note:
        return
    files = dict(list({"digits": digits, "photos": photos}[kind]())[:most])
    first, content = next(iter(files.items()))
    files |= {f"{first.split('/')[0]}/{name}": spoilt for name, (spoilt, _) in broken(content).items()}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda path: storage.write(f"{folder}/{path}", files[path]), files))
    storage.write_json(f"{folder}/_sample.json", note)


def digits() -> Iterator[tuple[str, bytes]]:
    """`label=3/0003.png`, ... in the order of the data set."""
    from sklearn.datasets import load_digits

    source = load_digits()
    for number, (image, target) in enumerate(zip(source.images, source.target, strict=True)):
        yield f"label={target}/{number:04d}.png", encoded((image * STEP).astype(np.uint8), "PNG")


def photos() -> Iterator[tuple[str, bytes]]:
    """`label=china/0000.jpg`, ... a tile of each photograph in turn."""
    from sklearn.datasets import load_sample_images

    source = load_sample_images()
    names = [name.rsplit("/", 1)[-1].split(".")[0] for name in source.filenames]
    rows, columns = (side // TILE for side in source.images[0].shape[:2])
    for number in range(rows * columns):
        top, left = number // columns * TILE, number % columns * TILE
        for name, image in zip(names, source.images, strict=True):
            yield f"label={name}/{number:04d}.jpg", encoded(image[top : top + TILE, left : left + TILE], "JPEG")


def encoded(pixels: np.ndarray, form: str) -> bytes:
    """An image file of uint8 pixels, (height, width) or (height, width, 3)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **({"quality": 95} if form == "JPEG" else {}))
    return buffer.getvalue()


def broken(whole: bytes) -> dict[str, tuple[bytes, str]]:
    """Broken files by name: content, and words of the reason that they are set apart for. `whole` is a sound image."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (200, 30, 30, 90)).save(buffer, "PNG")
    return {
        "broken-empty.png": (b"", "empty"),
        "broken-truncated.png": (whole[: len(whole) * 2 // 3], "cut off"),
        "broken-text.png": (b"This is no image.\n", "not an image"),
        "broken-bomb.png": (bomb(), "more than"),
        "broken-transparent.png": (buffer.getvalue(), "mode RGBA"),
    }


def bomb(side: int = BOMB_SIDE) -> bytes:
    """A small PNG whose header claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * (side + 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")

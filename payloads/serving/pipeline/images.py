"""The bytes of a request as an image, or why they are none."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from payloads.vision.ink import ink

CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-npy")
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", np.lib.format.MAGIC_PREFIX)
# Fewer than this on a side is no picture of anything.
LEAST_SIDE = 8


@dataclass(frozen=True)
class Refusal:
    """What a stage answers in place of its result; the stages behind it hand it on.

    A value and no exception: Ray would log a client's broken image as the replica's failure, with a traceback.
    """

    status: int
    sentence: str


def known(body: bytes) -> bool:
    """Whether `body` begins like a PNG, a JPEG or an npy file."""
    return body.startswith(MAGIC)


def decode(body: bytes, max_pixels: int) -> np.ndarray | Refusal:
    """The image in `body` as ink (`payloads.vision.ink`): uint8 [height, width], upright.

    Its size is read from the header and checked before anything is allocated for its pixels.
    """
    found = _from_npy(body, max_pixels) if body.startswith(MAGIC[2]) else _from_file(body, max_pixels)
    return found if isinstance(found, Refusal) else ink(found)


def _from_file(body: bytes, max_pixels: int) -> np.ndarray | Refusal:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit warns; the one that counts here refuses
        try:
            image = Image.open(io.BytesIO(body), formats=("PNG", "JPEG"))
            refusal = _size_refused(image.width, image.height, max_pixels)
            if refusal is not None:
                return refusal
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                sheet = Image.new("RGBA", upright.size, "white")
                sheet.alpha_composite(upright.convert("RGBA"))
                upright = sheet
            if upright.mode.startswith("I"):  # 16 bits: `convert` would cut them off at 255
                return (np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8)
            return np.asarray(upright.convert("L"))
        except Image.DecompressionBombError:
            return _too_many(max_pixels)
        except UnidentifiedImageError:
            return Refusal(400, "the body is not a PNG or JPEG image")
        except Exception:  # what a decoder raises on broken data is whatever it trips over
            return Refusal(400, "the image is damaged or cut off")


def _from_npy(body: bytes, max_pixels: int) -> np.ndarray | Refusal:
    """uint8 [height, width], or [height, width, 3] in red, green, blue."""
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception:  # the header is Python source; what its parser raises on broken text is its own affair
        return Refusal(400, "the npy file is damaged or cut off")
    if dtype != np.uint8 or fortran or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        return Refusal(422, "the array is not uint8 in C order of shape (height, width) or (height, width, 3)")
    refusal = _size_refused(shape[1], shape[0], max_pixels)
    if refusal is not None:
        return refusal
    pixels = body[stream.tell() :]
    if len(pixels) != int(np.prod(shape)):
        return Refusal(400, "the npy file is damaged or cut off")
    array = np.frombuffer(pixels, np.uint8).reshape(shape)
    return array if array.ndim == 2 else np.asarray(Image.fromarray(array).convert("L"))


def _size_refused(width: int, height: int, max_pixels: int) -> Refusal | None:
    if min(width, height) < LEAST_SIDE:
        return Refusal(422, f"the image is less than {LEAST_SIDE} pixels wide or high")
    if width * height > max_pixels:
        return _too_many(max_pixels)
    return None


def _too_many(max_pixels: int) -> Refusal:
    return Refusal(422, f"the image has more than {max_pixels} pixels: send a smaller one")

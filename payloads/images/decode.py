"""One image file's bytes to pixels, or the reason why not.

A file comes from anywhere, so its header is judged before anything is decoded: a small file may claim to be an image of
any size, and decoding takes the memory that it claims.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np

# Formats that hold one picture and run no other program to decode it, as Pillow does for EPS.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
# What can become a mode without losing anything; colour, transparency or more than 8 bits would be thrown away.
BECOMES = {"L": ("1", "L"), "RGB": ("1", "L", "P", "RGB")}
LEAST_SIDE = 4
EMPTY = "the file is empty"
NO_IMAGE = f"not an image of a known format ({', '.join(FORMATS)})"
TRUNCATED = "the image is cut off or damaged"


@dataclass(frozen=True)
class Form:
    """What every image becomes: `size` pixels a side, mode L or RGB; and the most pixels that one may have."""

    size: int
    mode: str
    max_pixels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (len(self.mode), self.size, self.size)


class BrokenImage(Exception):  # noqa: N818  it is the image that is broken
    """Why an image cannot be used; the text is the reason in quarantine and names no path and no value."""


def decode(content: bytes, form: Form) -> np.ndarray:
    """uint8 of shape `form.shape`: the middle square, scaled. Raises BrokenImage.

    The picture is turned as its EXIF says: a camera held upright writes a lying one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise BrokenImage(EMPTY)
    with warnings.catch_warnings():
        # Pillow warns of what is judged below by the run's own limit.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError:
            raise BrokenImage(NO_IMAGE) from None
        except Image.DecompressionBombError:
            raise BrokenImage(_too_large(form)) from None
        except Exception:
            raise BrokenImage(TRUNCATED) from None
        # Phones put small copies or a depth map behind a JPEG's picture, which makes it an MPO.
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        _judge(image.size, image.mode, frames, image.info, form)
        try:
            # A JPEG is scaled down by its decoder where it has many times the pixels that are wanted.
            image.draft(None, (4 * form.size, 4 * form.size))
            upright = ImageOps.exif_transpose(image).convert(form.mode)
        except Exception:
            raise BrokenImage(TRUNCATED) from None
    square = ImageOps.fit(upright, (form.size, form.size), Image.Resampling.BILINEAR)
    pixels = np.asarray(square, np.uint8)
    return pixels[None] if form.mode == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def identity(pixels: np.ndarray) -> int:
    """A number that two images share only if their pixels are equal: the first 8 bytes of sha256, as int64."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()[:8], "big", signed=True)


def _judge(size: tuple[int, int], mode: str, frames: int, info: dict, form: Form) -> None:
    if size[0] * size[1] > form.max_pixels:
        raise BrokenImage(_too_large(form))
    if min(size) < LEAST_SIDE:
        raise BrokenImage(f"less than {LEAST_SIDE} pixels a side")
    if frames > 1:
        raise BrokenImage("more than one frame")
    if mode not in BECOMES[form.mode] or "transparency" in info:
        kind = f"{mode} with transparency" if "transparency" in info else mode
        raise BrokenImage(f"mode {kind} does not become {form.mode} without loss")


def _too_large(form: Form) -> str:
    return f"more than {form.max_pixels} pixels"

"""Parameters of an image run; each is a flag of `python -m payloads.images.prepare`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from payloads.common.settings import NAME_PATTERN, RunSettings


class ImageSettings(RunSettings):
    """All parameters of a run; a worker is an actor that decodes one unit at a time."""

    experiment: str = Field(default="images", min_length=1, description="MLflow experiment")
    dataset: str = Field(default="digit-scans", pattern=NAME_PATTERN, description="name of what comes out")
    source: str | None = Field(
        default=None, pattern=r"^[^/].*$", description="folder of images in the storage; else sources/<dataset>"
    )
    sample: Literal["none", "digits", "photos"] = Field(
        default="none", description="real images to write to the source first; none writes none"
    )
    sample_images: int = Field(default=1797, ge=1, le=1797, description="the most images of the sample to write")
    label_key: str = Field(
        default="label", pattern=r"^[A-Za-z_]\w*$", description="partition that names the class: label in label=3/1.png"
    )

    size: int = Field(default=16, ge=4, le=4096, description="width and height of what comes out, in pixels")
    mode: Literal["L", "RGB"] = Field(default="L", description="L: one grey channel; RGB: three")
    max_pixels: int = Field(default=50_000_000, ge=1, description="the most pixels of an image that is decoded")
    max_mib: int = Field(default=64, ge=1, description="the largest file that is read")

    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of images for validation")
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of images held out for the gate")
    split_seed: int = Field(default=42, ge=0, lt=2**31, description="seed of the split")
    max_quarantined: float = Field(
        default=0.05, ge=0, le=1, description="largest share of images in quarantine; more and the run fails"
    )
    unit_images: int = Field(default=512, ge=1, le=65_536, description="images that one actor takes at a time")

    @property
    def folder(self) -> str:
        """The source's folder under the storage root."""
        return self.source or f"sources/{self.dataset}{f'-{self.sample_images}' if self.sample != 'none' else ''}"

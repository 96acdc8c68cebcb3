"""Parameters of image runs: flags of `python -m payloads.images.prepare` and `python -m payloads.images.train`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from payloads.common.settings import MODEL_PATTERN, NAME_PATTERN, RunSettings
from payloads.training.settings import LoopSettings


class ImageSettings(RunSettings):
    """All parameters of a preparation; a worker is an actor that decodes one unit at a time."""

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


class ImageTrainSettings(LoopSettings):
    """All parameters of a training on prepared images; a worker is a DDP rank."""

    experiment: str = Field(default="images", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="digit-scans", pattern=MODEL_PATTERN, description="name in the model registry")
    dataset: str = Field(default="digit-scans", pattern=NAME_PATTERN, description="prepared images to train on")

    lr: float = Field(default=3e-3, gt=0, le=1, description="peak learning rate of AdamW")
    width: int = Field(default=16, ge=1, le=4096, description="channels of the first stage; each later one has twice")
    stages: int = Field(default=3, ge=1, le=8, description="stages, each with half the height and width of the last")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout before the last layer")
    normalise: Literal["train", "imagenet"] = Field(
        default="train", description="channel statistics to normalise by: the train images' or ImageNet's (RGB)"
    )

    flip: float = Field(
        default=0, ge=0, le=1, description="share of images mirrored left to right, where that changes no class"
    )
    rotate: float = Field(default=10, ge=0, le=180, description="largest rotation, in degrees")
    shift: float = Field(default=0.08, ge=0, lt=1, description="largest shift, as a share of the side")
    zoom: float = Field(default=0.1, ge=0, lt=1, description="largest change of scale, as a share")
    jitter: float = Field(
        default=0.2, ge=0, le=1, description="largest change of brightness, contrast and (RGB) saturation, as a share"
    )
    hue: float = Field(default=0, ge=0, le=0.5, description="largest turn of the hue (RGB), as a share of the circle")
    augment_workers: int = Field(default=1, ge=1, le=64, description="actors that augment for each training worker")
    augment_cpus: float = Field(default=1, gt=0, description="CPUs of such an actor")
    cache_validation: bool = Field(
        default=True, description="keep a worker's validation images in its memory; false reads them every epoch"
    )

"""Arguments of the pipeline, as `serveConfigV2` hands them over."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from payloads.common.settings import MODEL_PATTERN


class ModelArgs(BaseModel):
    """Which version of a model; `version` pins it, otherwise it is what `alias` points to when a replica starts."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str = Field(pattern=MODEL_PATTERN, description="name in the model registry")
    alias: str = Field(default="champion", min_length=1, description="alias of the version to serve")
    version: str | None = Field(default=None, pattern=r"^[0-9]+$", description="this version, whatever the alias")


class PipelineArgs(BaseModel):
    """`args` of `payloads.serving.pipeline.app:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: ModelArgs = ModelArgs(model_name="scenes-detector")
    reader: ModelArgs = ModelArgs(model_name="scenes-reader")
    least_score: float = Field(default=0.4, gt=0, lt=1, description="how sure the detector must be of a digit")
    most_digits: int = Field(default=50, ge=1, le=1000, description="most digits of one image, the surest first")
    max_body_bytes: int = Field(default=4 << 20, ge=1024, description="largest request body")
    max_pixels: int = Field(default=4_000_000, ge=64, le=100_000_000, description="most pixels of an image")
    deadline_s: float = Field(default=5.0, gt=0, le=60, description="for a whole answer; then 504")
    max_images: int = Field(default=16, ge=1, le=1024, description="images of one pass of the detector")
    max_crops: int = Field(default=64, ge=1, le=4096, description="digits of one pass of the reader")
    batch_wait_timeout_s: float = Field(default=0.001, ge=0, le=1, description="how long a pass waits for more")

"""Arguments that several applications share, as `serveConfigV2` hands them over. Nothing here imports a model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from payloads.common.settings import MODEL_PATTERN


class ClassifierArgs(BaseModel):
    """`args` of `payloads.serving.classifier:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str = Field(default="digits", pattern=r"^[A-Za-z0-9_-]+$", description="name in the model registry")
    alias: str = Field(default="champion", min_length=1, description="alias of the version to serve")
    model_version: str | None = Field(
        default=None,
        pattern=r"^[0-9]+$",
        description="the version to serve, whatever the alias; `ops promote` writes it",
    )
    max_batch_size: int = Field(default=64, ge=1, le=4096, description="rows of one forward pass")
    # Rows that arrive during one forward pass make up the next batch by themselves; waiting longer than a turn of the
    # event loop only idles the CPU (with 64 clients 5 ms gave a third less throughput than none).
    batch_wait_timeout_s: float = Field(
        default=0.001, ge=0, le=1, description="how long the first row of a batch waits for others"
    )
    deadline_s: float = Field(default=10.0, gt=0, le=120, description="for an answer, its time in the queue included")
    max_body_bytes: int = Field(default=1 << 20, ge=1024, description="largest request body")
    max_rows: int = Field(default=1024, ge=1, description="most rows of one request")


class MemberArgs(BaseModel):
    """Which model a member is. `version` pins it; otherwise it is what `alias` points to when the replica starts."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the member, and of its deployment")
    model_name: str = Field(pattern=MODEL_PATTERN, description="name in the model registry")
    alias: str = Field(default="champion", min_length=1, description="alias of the version to serve")
    version: str | None = Field(
        default=None, pattern=r"^[0-9]+$", description="the version to serve, whatever the alias"
    )
    weight: float = Field(default=1.0, gt=0, description="weight of its answers")
    max_batch_size: int = Field(default=64, ge=1, le=4096, description="rows of one forward pass")
    batch_wait_timeout_s: float = Field(default=0.001, ge=0, le=1, description="how long a row waits for others")

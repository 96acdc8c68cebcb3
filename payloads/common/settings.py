"""What the platform tells a payload through the environment.

Parameters of a run come on the command line; where things are comes from here, because it is the platform that
knows. Credentials stay in the standard AWS variables and are read only by the S3 clients themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from payloads.common.errors import PayloadError

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
MODEL_PATTERN = r"^[A-Za-z0-9_-]+$"


class RunSettings(BaseModel):
    """What a training stack says to every payload that runs as a RayJob; each payload's settings add its own.

    What a worker is differs: a DDP rank, a trial, an actor or a task at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    run_name: str = Field(pattern=NAME_PATTERN, description="name of the run: lower case letters, digits and dashes")
    num_workers: int = Field(default=2, ge=1, le=1024, description="workers at once")
    cpus_per_worker: float = Field(default=1, gt=0, description="CPUs of a worker")
    gpus_per_worker: float = Field(default=0, ge=0, description="GPUs of a worker; 0 means CPU")


class Platform(BaseModel):
    """Where a payload finds its neighbours and what it is called; see `VARIABLES` for the sources."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str | None = Field(default=None, description="name of the run; a retry carries the same one")
    storage: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/.*)?$", description="s3://bucket/prefix for data and checkpoints"
    )
    s3_endpoint: str | None = Field(default=None, description="S3 endpoint; unset means AWS itself")
    mlflow_uri: str = Field(pattern=r"^(https?|sqlite)://?", description="MLflow tracking and registry server")
    bundle_hash: str = Field(default="unbundled", description="identity of the code that runs")
    image: str = Field(default="unknown", description="container image, by digest")
    stack: str = Field(default="none", description="Pulumi stack that asked for this")
    patience_s: float = Field(
        default=180.0, ge=0, le=3600, description="how long S3 or MLflow may be away before a run gives up"
    )


VARIABLES = {
    "run": "MANTA_RUN",
    "storage": "MANTA_STORAGE",
    "s3_endpoint": "AWS_ENDPOINT_URL",
    "mlflow_uri": "MLFLOW_TRACKING_URI",
    "bundle_hash": "MANTA_BUNDLE_HASH",
    "image": "MANTA_IMAGE",
    "stack": "MANTA_STACK",
    "patience_s": "MANTA_PATIENCE_S",
}


def read_platform(environment: Mapping[str, str] = os.environ) -> Platform:
    """Read `Platform` from environment variables; an empty variable counts as unset.

    Raises PayloadError naming the first variable that is missing or malformed, never its value: a storage URI
    could carry credentials.
    """
    given = {field: environment[name] for field, name in VARIABLES.items() if environment.get(name)}
    try:
        return Platform.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = VARIABLES[str(first["loc"][0])]
        if first["type"] == "missing":
            raise PayloadError(
                f"environment variable {name} is not set: the platform sets it in Ray pods, set it by hand elsewhere"
            ) from None
        raise PayloadError(f"environment variable {name} is not valid: {first['msg']}") from None

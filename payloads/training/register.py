"""Log the model with its run, and make it the champion if it passes the gate.

Every step first looks for what an earlier, interrupted attempt left: one run gets one logged model and one version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from payloads.common import reporting
from payloads.common.errors import PayloadError
from payloads.common.storage import first_line
from payloads.common.tracking import TrackedRun
from payloads.training.evaluate import Verdict

CHAMPION = "champion"
ARTIFACT = "model"


@dataclass(frozen=True)
class Champion:
    version: str
    model: nn.Module


def load_champion(client: mlflow.MlflowClient, name: str) -> Champion | None:
    """The model that the alias points to, or None if there is no such model or alias.

    Raises PayloadError if the alias points to something that cannot be loaded: replacing it unseen could put a
    worse model into service.
    """
    version = _champion_version(client, name)
    if version is None:
        return None
    try:
        model = mlflow.pytorch.load_model(f"models:/{name}/{version.version}")
    except MlflowException as error:
        raise PayloadError(
            f"champion {name} version {version.version} cannot be loaded, so nothing can be compared with it "
            f"({first_line(error)}): restore its artifacts or delete the alias {CHAMPION}"
        ) from error
    return Champion(version.version, model)


def champion_shape(client: mlflow.MlflowClient, name: str) -> tuple[int, ...] | None:
    """The shape of a row that the champion takes, by its signature; None if there is no champion or no signature."""
    version = _champion_version(client, name)
    signature = mlflow.models.get_model_info(f"models:/{name}/{version.version}").signature if version else None
    return tuple(signature.inputs.inputs[0].shape[1:]) if signature else None


def _champion_version(client: mlflow.MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def log_model(run: TrackedRun, model: nn.Module, example: np.ndarray, classes: tuple[str, ...]) -> str:
    """Log a model of one output with its run; its models:/ URI, or that of the one logged before."""
    with torch.inference_mode():
        output = model.eval()(torch.from_numpy(example))
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *output.shape[1:]))]),
    )
    return log_module(run, model, example, signature, {"classes": list(classes)})


def log_module(
    run: TrackedRun,
    model: nn.Module,
    example: np.ndarray,
    signature: ModelSignature,
    metadata: dict[str, Any],
    files: Sequence[str] = (),
) -> str:
    """Log `model` and, beside it, `files`; its models:/ URI, or that of the one logged before.

    `example` must hold two rows or more: torch.export would freeze the batch size of a single one.
    """
    found = [
        logged
        for logged in mlflow.search_logged_models(
            [run.experiment_id], filter_string=f"source_run_id = '{run.id}'", output_format="list"
        )
        if logged.status == LoggedModelStatus.READY
    ]
    if found:
        return found[0].model_uri
    with mlflow.start_run(run_id=run.id):
        info = mlflow.pytorch.log_model(
            model.eval(),
            name=ARTIFACT,
            input_example=example,
            signature=signature,
            # Written down rather than inferred: inferring starts another Python that loads the model again.
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"mlflow=={mlflow.__version__}"],
            metadata=metadata,
            extra_files=list(files) or None,
        )
    return info.model_uri


def register(client: mlflow.MlflowClient, name: str, uri: str, run: TrackedRun, tags: dict[str, str]) -> ModelVersion:
    """The version of `name` that this run made, made now if there is none; `tags` describe it."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    own = client.search_model_versions(f"name = '{name}' and run_id = '{run.id}'")
    version = (
        own[0] if own else client.create_model_version(name, source=uri, run_id=run.id, model_id=uri.split("/")[-1])
    )
    for key, value in tags.items():
        client.set_model_version_tag(name, version.version, key, value)
    return version


def crown(client: mlflow.MlflowClient, name: str, version: str) -> None:
    """Point the alias at `version`; servers that load it from now on serve this version."""
    client.set_registered_model_alias(name, CHAMPION, version)


def settle(
    client: mlflow.MlflowClient,
    name: str,
    uri: str,
    run: TrackedRun,
    verdict: Verdict,
    tags: dict[str, str],
    subject: str = "",
) -> str | None:
    """Register the model at `uri` as `name` and crown it if the verdict lets it pass; its version, or None.

    Either way a line of progress says why, about `subject` where a run has several models.
    """
    version = None
    if verdict.passed:
        version = str(register(client, name, uri, run, tags).version)
        crown(client, name, version)
    outcome = "registered" if verdict.passed else "not registered"
    reporting.progress(f"{subject} {outcome}: {verdict.reason}".lstrip())
    return version

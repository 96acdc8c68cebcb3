"""Versions of a model in the registry, and what they answer on the rows that none of them was trained on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from local.errors import MantaError

CHAMPION = "champion"
# What decides which rows are held out: versions are comparable only where they agree on it.
_SPLIT = ("split_seed", "validation_fraction", "test_fraction")


@dataclass(frozen=True)
class Version:
    """One version: `split` says which rows its training held out of which data."""

    name: str
    number: str
    split: dict[str, str]


class Registry:
    """The MLflow server at `uri`."""

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # Else MLflow sends its clients to object storage by an address that only the cluster resolves.
        os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
        import mlflow

        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.uri = uri
        self.client: Any = mlflow.MlflowClient(uri, uri)

    def champion(self, name: str) -> str | None:
        """The version that the alias points to, or None."""
        try:
            return str(self.client.get_model_version_by_alias(name, CHAMPION).version)
        except Exception as error:
            if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise self._away(error) from error

    def version(self, name: str, number: str) -> Version:
        """Raises MantaError if there is no such version, or its training did not record what it held out."""
        try:
            found = self.client.get_model_version(name, number)
            run = self.client.get_run(found.run_id)
        except Exception as error:
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                raise MantaError(f"model {name} has no version {number} in {self.uri}") from error
            raise self._away(error) from error
        params, tags = run.data.params, run.data.tags
        split = {key: str(params.get(key, "")) for key in _SPLIT} | {"dataset": str(tags.get("manta.dataset", ""))}
        if not all(split.values()):
            raise MantaError(f"model {name} version {number} does not say which rows it held out: train it again")
        return Version(name, number, split)

    def crown(self, name: str, number: str) -> None:
        """Move the alias to this version; raises MantaError."""
        try:
            self.client.set_registered_model_alias(name, CHAMPION, number)
        except Exception as error:
            raise self._away(error) from error

    def right(self, version: Version) -> list[bool]:
        """Whether `version` gets each held-out row right, in the order of the rows; raises MantaError."""
        np, torch = import_module("numpy"), import_module("torch")
        pixels, labels = held_out(version)
        where = f"models:/{version.name}/{version.number}"
        try:
            module = import_module("mlflow.pytorch").load_model(where)
            info = import_module("mlflow.models").get_model_info(where)
        except Exception as error:
            raise MantaError(
                f"model {version.name} version {version.number} cannot be read from {self.uri}: are its artifacts "
                "still in the bucket?",
                detail=str(error),
            ) from error
        classes = np.array((info.metadata or {})["classes"])
        with torch.inference_mode():
            answers = classes[module(torch.from_numpy(pixels)).argmax(dim=1).numpy()]
        return [bool(same) for same in answers == labels]

    def _away(self, error: Exception) -> MantaError:
        return MantaError(
            f"the MLflow server {self.uri} does not answer: start it, or name another with --mlflow", detail=str(error)
        )


def held_out(version: Version) -> tuple[Any, Any]:
    """Pixels (float32 [rows, 64]) and labels of the test split; raises MantaError if the data is no longer the same."""
    np = import_module("numpy")
    digits, splits = import_module("payloads.data.digits"), import_module("payloads.data.splits")
    table = digits.build_table()
    if digits.fingerprint(table) != version.split["dataset"]:
        raise MantaError(
            f"model {version.name} version {version.number} was trained on other data than this checkout has: compare "
            "it in the checkout that it was trained from"
        )
    fractions = splits.Fractions(float(version.split["validation_fraction"]), float(version.split["test_fraction"]))
    ids, labels = table["id"].to_numpy(), np.array(table["label"].to_pylist())
    cuts = splits.cut_points(ids, labels, fractions, int(version.split["split_seed"]))
    part = splits.assign(ids, np.searchsorted(np.array(cuts.classes), labels), cuts)
    chosen = part == splits.TEST
    return digits.pixel_matrix(table)[chosen].astype(np.float32), labels[chosen]

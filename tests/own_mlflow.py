"""An MLflow of some tests alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def default_restored() -> Iterator[None]:
    """Afterwards the default server of this process, and of those that it starts, is what it was.

    A client of MLflow writes its server into the environment: a command that a later test starts would speak to it.
    """
    import mlflow

    setters = {"MLFLOW_TRACKING_URI": mlflow.set_tracking_uri, "MLFLOW_REGISTRY_URI": mlflow.set_registry_uri}
    before = {variable: os.environ.get(variable) for variable in setters}
    try:
        yield
    finally:
        for variable, put in setters.items():
            put(before[variable])
            if before[variable] is None:  # MLflow forgets a registry, but leaves its variable
                os.environ.pop(variable, None)

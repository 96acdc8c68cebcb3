"""What the simulated account cannot keep of a resource, kept in the account itself, as parameters of a reserved name:
it lives and ends with the account, and whoever lists the account's resources sees it."""

from __future__ import annotations

import json

from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Values

PREFIX = "/manta-stand-in"


def _name(kind: str, identifier: str) -> str:
    return f"{PREFIX}/{kind}/{identifier}"


def put(cloud: Cloud, kind: str, identifier: str, values: Values) -> None:
    cloud.client("ssm").put_parameter(
        Name=_name(kind, identifier), Value=json.dumps(values), Type="String", Overwrite=True
    )


def get(cloud: Cloud, kind: str, identifier: str) -> Values:
    """Empty where nothing is kept."""
    found = cloud.find(lambda: cloud.client("ssm").get_parameter(Name=_name(kind, identifier)))
    return json.loads(found["Parameter"]["Value"]) if found else {}


def remove(cloud: Cloud, kind: str, identifier: str) -> None:
    cloud.find(lambda: cloud.client("ssm").delete_parameter(Name=_name(kind, identifier)))

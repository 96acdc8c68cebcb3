"""What a platform stack promises the stacks on it: the only thing that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from infra import references
from infra.errors import ContractError
from infra.ray.placement import EVERYWHERE, Placements
from infra.ray.specs import Surroundings
from infra.stack import StackName

# Raised when a field is added, removed or changes its meaning; a platform of another version is refused.
VERSION = 4
OUTPUT = "contract"


@dataclass(frozen=True)
class Contract:
    """Typed outputs of a platform stack. All are plain: secrets stay in the cluster, named here.

    `kubeconfig` has no credentials, and `cluster` names the cluster whatever its kubeconfig says; both are empty where
    KUBECONFIG says which cluster it is. `ingress_class` and `event_scaling` are empty where the platform has none."""

    namespace: str
    service_account: str
    auth_secret: str
    credentials_secret: str  # empty: pods have a role
    storage: str
    s3_endpoint: str  # empty: AWS itself
    s3_region: str
    mlflow_uri: str
    image: str
    ray_version: str
    kubeconfig: str = ""
    cluster: str = ""
    ingress_class: str = ""  # of Ingresses that become load balancers
    event_scaling: str = ""  # keda
    event_queues: str = ""  # ARNs of the queues whose length it may read, with commas
    mlflow_secret: str = ""  # empty: MLflow asks for no login
    placements: Placements = EVERYWHERE

    def surroundings(self) -> Surroundings:
        return Surroundings(
            namespace=self.namespace,
            service_account=self.service_account,
            auth_secret=self.auth_secret,
            credentials_secret=self.credentials_secret,
            storage=self.storage,
            s3_endpoint=self.s3_endpoint,
            s3_region=self.s3_region,
            mlflow_uri=self.mlflow_uri,
            mlflow_secret=self.mlflow_secret,
            placements=self.placements,
        )


def to_output(contract: Contract) -> dict[str, Any]:
    return {"version": VERSION, **asdict(contract)}  # asdict goes into the placements too


def from_output(value: object, stack: StackName) -> Contract:
    """The contract in a platform's output; raises ContractError that says which stack to bring up."""
    remedy = f"bring it up with `pulumi up -s {stack.platform}`"
    if not isinstance(value, Mapping):
        raise ContractError(f"stack {stack} stands on {stack.platform}, which offers nothing yet: {remedy}")
    offered = dict(cast(Mapping[str, Any], value))
    version = offered.pop("version", None)
    if version != VERSION:  # the engine's numbers are floats
        version = int(version) if isinstance(version, float) else version
        raise ContractError(
            f"stack {stack.platform} keeps version {version} of the contract and {stack} needs {VERSION}: {remedy}"
        )
    placements = offered.pop("placements", None)
    names = [field.name for field in fields(Contract) if field.name != "placements"]
    for name in names:
        if not isinstance(offered.get(name), str):
            raise ContractError(f"stack {stack.platform} offers no {name}, which {stack} needs: {remedy}")
    if not isinstance(placements, Mapping):
        raise ContractError(f"stack {stack.platform} offers no placements, which {stack} needs: {remedy}")
    placed = Placements.from_output(cast(Mapping[str, Any], placements))
    return Contract(**{name: offered[name] for name in names}, placements=placed)


async def read(stack: StackName) -> Contract:
    """The contract of the platform under `stack`; raises ContractError that says which stack to bring up."""
    try:
        value = await references.read(stack.platform, OUTPUT)
    except references.NoStackError:
        raise ContractError(
            f"stack {stack} stands on {stack.platform}, which does not exist: bring it up with "
            f"`pulumi up -s {stack.platform}`"
        ) from None
    return from_output(value, stack)

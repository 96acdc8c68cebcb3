"""From an empty machine to a simulated AWS with a cluster, and an engine to deploy with."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local import choose, cluster, environment, prerequisites
from local.choose import ClusterChoice, EngineChoice
from local.cluster.handle import Cluster
from local.engine.environment import engine_environment
from local.environment import CHECKOUT
from local.errors import MantaError
from local.image import build, load, record
from local.parallel import Together
from local.progress import Reporter
from local.sim import account, preparation, tools
from local.sim.settings import SimSettings
from local.sim.tools import AwsTools
from local.toolchain import golang, modules
from local.toolchain.build import Toolchain, ensure_module
from local.up.stack import Engine

_BIN = Path(__file__).resolve().parent / "bin"
# A person's own account must never be reached by stacks that are meant for this one.
_FOREIGN = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_DEFAULT_REGION",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    engine: Engine
    toolchain: Toolchain
    aws: AwsTools
    cluster: Cluster


def ensure(settings: SimSettings, report: Reporter) -> Machine:
    """Bring everything below the stacks up; quick when it is up already. Raises MantaError.

    When the account in which the stacks were brought up has ended with its process, what is left of them (their
    records, and the cluster) is deleted and all begins anew.
    """
    engine = choose.choose_engine(settings.cluster)
    report.note(f"engine: {engine.reason}")
    own = ClusterChoice(True, str(settings.cluster.kubeconfig), "")
    prerequisites.ensure(settings.cluster, report, own, engine, payloads=False)
    toolchain, aws = _tools(settings, engine, report)
    up = _start(settings, toolchain, aws, report)
    now, before = account.wait(settings), account.remembered(settings)
    if before is not None and before != now:
        report.note("the simulated AWS account of the stacks has ended: deleting their records and starting anew")
        cluster.purge(settings.cluster, report)
        up = _start(settings, toolchain, aws, report)
        now = account.wait(settings)
    account.remember(settings, now)
    _give_images(settings, up, toolchain, aws, report)
    return Machine(Engine(toolchain.pulumi, variables(settings, toolchain, aws), CHECKOUT), toolchain, aws, up)


def variables(settings: SimSettings, toolchain: Toolchain, aws: AwsTools) -> dict[str, str]:
    """The environment in which `pulumi`, `kubectl` and AWS's SDKs work on the simulated account."""
    base = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    found = engine_environment(settings.cluster, toolchain, kubeconfig=str(settings.cluster.kubeconfig), base=base)
    found |= {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_SHARED_CREDENTIALS_FILE": str(settings.aws_dir / "credentials"),
        "AWS_CONFIG_FILE": str(settings.aws_dir / "config"),
        "AWS_REGION": preparation.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MANTA_HELM": str(aws.helm),
        "MANTA_CHARTS": str(aws.charts),
        "MANTA_SIM_KUBECONFIG": str(settings.cluster.kubeconfig),
    }
    folders = [*([] if shutil.which("aws") else [str(_BIN)]), str(aws.helm.parent)]
    found["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *found["PATH"].split(os.pathsep)]))
    return found


def _tools(settings: SimSettings, engine: EngineChoice, report: Reporter) -> tuple[Toolchain, AwsTools]:
    go = golang.find()
    if go is None:
        raise MantaError("Go is not installed: install it from https://go.dev/dl and put its bin folder on PATH")
    with Together() as together:
        packages = together.start(partial(environment.ensure_environment, settings.cluster, report))
        bin_dir = ensure_module(modules.cluster(), go, settings.cluster, report) / "bin"
        aws = tools.ensure(settings.cluster, go, report)
        pulumi = engine.pulumi or ensure_module(modules.pulumi(), go, settings.cluster, report) / "bin" / "pulumi"
        packages.result()
    return Toolchain(bin_dir, pulumi), aws


def _start(settings: SimSettings, toolchain: Toolchain, aws: AwsTools, report: Reporter) -> Cluster:
    return cluster.up(settings.cluster, toolchain, report, addition=preparation.prepare(settings, aws.entry))


def _give_images(settings: SimSettings, up: Cluster, toolchain: Toolchain, aws: AwsTools, report: Reporter) -> None:
    """What runs on the real node. Payloads run on simulated ones, where no image is needed."""
    references: dict[str, str] = {}
    for image in (*build.programs(toolchain), build.program("karpenter", aws.karpenter)):
        layout = build.ensure(settings.cluster, image, report)
        references[image.short_name] = load.load(settings.cluster, up, image, layout, report)
    record.record(settings.cluster.kubeconfig, references)

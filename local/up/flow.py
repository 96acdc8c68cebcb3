"""`make up`: the machine, then the stacks in the order in which they stand on each other, then one question."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.cluster.publish import Publication, publish
from local.engine import stacks
from local.environment import CHECKOUT
from local.errors import MantaError
from local.progress import Reporter
from local.settings import LocalSettings
from local.up import digit, forward, machine, retry, runs, stack
from local.up.machine import Machine
from local.up.summary import Summary

ENVIRONMENTS = ("local",)
MODEL_SERVICE, RAY_NAMESPACE, SYSTEM_NAMESPACE = "digits", "ray", "manta-system"


@dataclass(frozen=True)
class Request:
    """What was asked for: `run` and `arguments` are empty for the environment's standing run."""

    environment: str
    run: str
    arguments: str
    monitoring: str = ""


def up(settings: LocalSettings, request: Request, report: Reporter) -> Summary:
    """Bring up machine, platform, training run and model server, and ask the server about one digit."""
    check(request)
    if request.run:
        runs.write_stack_file(CHECKOUT, request.environment, request.run, request.arguments)
    ready = machine.ensure(settings, report, request.monitoring)
    _deploy(ready, f"platform-{request.environment}", report)
    _publish(settings, ready)
    run = runs.stack_name(request.environment, request.run)
    _deploy(ready, run, report, again=True)
    _deploy(ready, f"serve-{request.environment}", report)
    _publish(settings, ready)
    result = stack.outputs(ready.engine, run).get("result")
    if ready.cluster is not None:
        return summary(settings, result, digit.ask)
    return summary_elsewhere(settings, result, digit.ask, ready.engine.environment)


def check(request: Request) -> None:
    """Refuse at once what cannot work, before anything is built."""
    if request.environment not in ENVIRONMENTS:
        raise MantaError(
            f"ENV={request.environment} is not an environment that `make up` can bring up here: use "
            f"{' or '.join(ENVIRONMENTS)}"
        )
    if request.arguments and not request.run:
        raise MantaError(
            f"ARGS={request.arguments!r} needs a run of its own: name it with RUN=name, or edit "
            f"stacks/Pulumi.train-{request.environment}.yaml"
        )


def summary(
    settings: LocalSettings, result: dict[str, Any] | None, ask: Callable[[str, digit.Digit], digit.Answer] | None
) -> Summary:
    """The facts for the closing table; with `ask` the model is asked about a real digit."""
    endpoint, example = f"http://127.0.0.1:{settings.ports.serve}", digit.real_digit()
    return Summary.from_result(
        result,
        endpoint=endpoint,
        digit=example,
        answer=ask(endpoint, example) if ask else None,
        ports=settings.ports,
    )


def summary_elsewhere(
    settings: LocalSettings,
    result: dict[str, Any] | None,
    ask: Callable[[str, digit.Digit], digit.Answer],
    environment: Mapping[str, str],
) -> Summary:
    """The same of a cluster that is not ours, the one of `environment`'s KUBECONFIG, asked by way of port-forward."""
    there = publications(settings)
    with forward.forwarded(there[0], environment):
        found = summary(settings, result, ask)
    return replace(found, forwards=tuple(shlex.join(forward.command(each)) for each in there))


def publications(settings: LocalSettings) -> list[Publication]:
    """What people reach on this machine's loopback, the model server first; `publish` leaves out what is not there."""
    ports = settings.ports
    return [
        Publication("serve", ports.serve, RAY_NAMESPACE, f"{MODEL_SERVICE}-serve-svc", 8000),
        Publication("dashboard", ports.dashboard, RAY_NAMESPACE, f"{MODEL_SERVICE}-head-svc", 8265),
        Publication("mlflow", ports.mlflow, SYSTEM_NAMESPACE, "mlflow", 5000),
        Publication("s3", ports.s3, SYSTEM_NAMESPACE, "s3", 9000),
    ]


def _deploy(ready: Machine, name: str, report: Reporter, *, again: bool = False) -> None:
    """`again`: runs of this stack that have failed are submitted anew."""
    with report.stage(f"stack {name}") as stage:
        environment = stacks.ensure_stack(ready.engine.pulumi, ready.engine.environment, CHECKOUT, name)
        engine = stack.Engine(ready.engine.pulumi, environment, CHECKOUT)
        failed = retry.failed_runs(engine, name) if again else []
        for run in failed:
            stage.note(f"  run {run} failed before: a new RayJob takes its place")
        stack.up(engine, name, stage, retry.job_urns(engine, name) if failed else ())


def _publish(settings: LocalSettings, ready: Machine) -> None:
    if ready.cluster is not None:
        publish(settings, publications(settings))

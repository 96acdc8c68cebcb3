"""The commands behind the Makefile's targets."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated

import click
import typer
from rich.console import Console

from local import errors, processes, progress, settings

# Where a command works: this machine's own cloud, or the simulated AWS on it.
Environment = Annotated[str, typer.Option("--environment", help="`local` or `sim`.")]
SIM = "sim"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def up(
    environment: Environment = "local",
    run: Annotated[str, typer.Option(help="Name of a training run of its own.")] = "",
    arguments: Annotated[str, typer.Option(help="Parameters of that run, as name=value.")] = "",
    monitoring: Annotated[str, typer.Option(help="1: with Prometheus from now on, 0: without.")] = "",
) -> None:
    """Bring everything up and end with a model that answers."""
    if environment == SIM:
        _up_sim(run, arguments)
        return
    from local.up import flow, summary

    shown = flow.up(settings.load(), flow.Request(environment, run, arguments, monitoring), progress.reporter())
    again = 'make up RUN=faster ARGS="lr=0.01"' if not run else "make status"
    summary.show(Console(), shown, f"{again}; make down stops it all and keeps its state")


def _up_sim(run: str, arguments: str) -> None:
    from local.sim import flow
    from local.sim import settings as sim

    if run or arguments:
        raise errors.MantaError("ENV=sim brings up the standing stacks alone: leave RUN and ARGS out")
    flow.show(Console(), flow.up(sim.load(), progress.reporter()))


@app.command()
def down(environment: Environment = "local") -> None:
    """Stop the local cluster, its state stays; or end the simulated AWS, of which nothing stays."""
    if environment == SIM:
        from local.sim import flow
        from local.sim import settings as sim

        flow.down(sim.load(), progress.reporter())
        return
    from local import cluster

    cluster.down(settings.load(), progress.reporter())


@app.command()
def status(environment: Environment = "local") -> None:
    """What runs, where, and how to log in; the exit status is 1 when something is not well."""
    if environment == SIM:
        from local.sim import flow
        from local.sim import settings as sim

        raise SystemExit(0 if flow.status(sim.load(), Console()) else errors.EXIT_FAILURE)
    from local.up import status as report

    raise SystemExit(0 if report.show(settings.load(), Console()) else errors.EXIT_FAILURE)


@app.command()
def env(environment: Environment = "local") -> None:
    """The shell exports for calling pulumi and kubectl by hand."""
    from local.up import shell

    exported = _sim_exports() if environment == SIM else shell.exports(settings.load())
    for name, value in exported.items():
        print(f"export {name}={shlex.quote(value)}")


def _sim_exports() -> dict[str, str]:
    from local.engine.environment import exports
    from local.sim import flow
    from local.sim import settings as sim

    return exports(flow.variables(sim.load()))


@app.command()
def token() -> None:
    """The Ray dashboard's token."""
    from local.up import token as secret

    print(secret.read(settings.load().kubeconfig))


@app.command()
def clean() -> None:
    """Stop the local cluster and delete its state and caches."""
    from local.up import clean as removal

    removal.clean(settings.load(), progress.reporter())


@app.command(name="test")
def run_tests(fast: Annotated[bool, typer.Option(help="Only what needs no cluster.")] = False) -> None:
    """All tests, on the real local cluster."""
    from local import checks

    raise SystemExit(checks.test(settings.load(), progress.reporter(), fast=fast))


@app.command(name="test-payloads-cluster")
def test_payloads_cluster() -> None:
    """Every stack of the payload catalogue on the local cluster."""
    from local import checks

    raise SystemExit(checks.test_catalogue(settings.load(), progress.reporter()))


@app.command()
def lint() -> None:
    """ruff and pyright."""
    from local import checks

    raise SystemExit(checks.lint(settings.load(), progress.reporter()))


@app.command()
def bench() -> None:
    """Times of the local cloud, and the model server against its peers."""
    from local import checks

    raise SystemExit(checks.bench(settings.load(), progress.reporter()))


def main() -> int:
    processes.end_in_order()
    # Output to a pipe that ended (`make up | head`) is no reason for a traceback.
    try:
        app(standalone_mode=False)
    except typer.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_FAILURE
    return 0


if __name__ == "__main__":
    sys.exit(errors.run(main))

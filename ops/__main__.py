"""What people run beside pulumi. Exit status: 0 well, 1 found, 2 wrong command line, 3 input that cannot be used."""

from __future__ import annotations

import sys

import typer

from local.errors import EXIT_INTERRUPTED, MantaError
from ops import (
    changed,
    cost,
    dashboards,
    deploy,
    drift,
    image,
    kubeconfig,
    policies,
    preview,
    publish,
    versions,
)
from ops.audit import command as audit
from ops.diagnose import command as diagnose
from ops.exits import Exit
from ops.preflight import command as preflight
from ops.prices import spot
from ops.promote import command as promote
from ops.report import command as report
from ops.runs import command as runs
from ops.state import command as state
from ops.watch import command as watch

# The registry: one line a command.
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.command()(versions.versions)
app.command()(policies.policies)
app.command()(preview.preview)
app.command()(report.report)
app.command()(preflight.preflight)
app.command()(changed.changed)
app.command()(deploy.deploy)
app.command()(kubeconfig.kubeconfig)
app.command()(drift.drift)
app.command()(publish.publish)
app.command()(promote.promote)
app.command()(audit.audit)
app.command()(diagnose.diagnose)
app.command()(watch.watch)
app.command()(cost.cost)
app.command()(dashboards.dashboards)
app.command()(state.state)
app.command()(spot.prices)
app.add_typer(runs.app, name="runs")
app.add_typer(image.app, name="image")


def main() -> int:
    try:
        app()  # ends the process itself, with 2 for a wrong command line
    except MantaError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error.sentence}", file=sys.stderr)
        return Exit.INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())

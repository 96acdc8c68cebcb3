"""The registry of commands: one line each."""

from __future__ import annotations

import sys

import click
import typer

from local.errors import EXIT_INTERRUPTED, MantaError
from ops import changed, drift, policies, preview, publish, versions
from ops.exits import Exit
from ops.preflight import command as preflight
from ops.report import command as report

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.command()(versions.versions)
app.command()(policies.policies)
app.command()(preview.preview)
app.command()(report.report)
app.command()(preflight.preflight)
app.command()(changed.changed)
app.command()(drift.drift)
app.command()(publish.publish)


def main() -> int:
    try:
        # Click returns the status of a command that ends with one, and what a command returns otherwise: nothing.
        return app(standalone_mode=False) or Exit.OK
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except MantaError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error.sentence}", file=sys.stderr)
        return Exit.INPUT
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

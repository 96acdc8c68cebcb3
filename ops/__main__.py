"""`python -m ops COMMAND`."""

from __future__ import annotations

import sys

import click
import typer

from ops.audit import command as audit

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
audit.register(app)


@app.callback()
def operations() -> None:
    """Operations beside `pulumi up`."""


def main() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

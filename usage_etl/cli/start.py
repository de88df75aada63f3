"""Entry point of ``usage-etl``: deliberate errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys

import typer

from usage_etl.errors import ConfigError, UsageEtlError


def main() -> None:
    """Runs the command line. ``eval`` needs no settings and no source, and starts without importing them."""
    if sys.argv[1:2] == ["eval"]:
        from usage_etl.cli.eval import app as evaluation

        app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
        app.add_typer(evaluation, name="eval")
        app.callback()(lambda: None)
    else:
        from usage_etl.cli.main import app
    run(app)


def run(app: typer.Typer) -> None:
    """Runs ``app`` on the arguments of the process; exit codes: 0 done, 1 failed, 2 configuration unusable."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "200")
    try:
        app()
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
    except UsageEtlError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

"""The command ``usage-etl``. Each command is a thin call; exit codes: 0 done, 1 failed, 2 configuration unusable."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from usage_etl import __version__
from usage_etl.cli.accounts import accounts
from usage_etl.cli.alerts import app as alerts_app
from usage_etl.cli.anomalies import app as anomalies_app
from usage_etl.cli.diff import diff
from usage_etl.cli.directory import app as directory_app
from usage_etl.cli.doctor import run_checks
from usage_etl.cli.eval import app as eval_app
from usage_etl.cli.explain import explain
from usage_etl.cli.init import write_starter
from usage_etl.cli.limits import app as limits_app
from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.outbox import app as outbox_app
from usage_etl.cli.periods import register as register_periods
from usage_etl.cli.prices import app as prices_app
from usage_etl.cli.quotas import app as quotas_app
from usage_etl.cli.recommendations import recommendations
from usage_etl.cli.report import report
from usage_etl.cli.show import print_checks, print_summary
from usage_etl.cli.sources import app as sources_app
from usage_etl.cli.start import run as run_app
from usage_etl.cli.summary import summary
from usage_etl.config.load import CONFIG_VARIABLE, DEFAULT_FILE

app = typer.Typer(
    name="usage-etl",
    help="Scheduled batch ETL and reporting for AI usage and cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

app.add_typer(prices_app, name="prices")
app.add_typer(sources_app, name="sources")
app.add_typer(anomalies_app, name="anomalies")
app.add_typer(alerts_app, name="alerts")
app.add_typer(eval_app, name="eval")
app.add_typer(outbox_app, name="outbox")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder to write into.")] = Path()) -> None:
    """Write a commented settings file and empty directory files; nothing that exists is touched."""
    for written in write_starter(folder):
        typer.echo(f"wrote {written}")
    typer.echo("next: edit usage_etl.yaml, then run `usage-etl doctor`")


@app.command()
def doctor(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check settings, secrets, directories, sources, lake, state, mail, fonts and system libraries; say how to mend each."""
    checks = run_checks(config)
    print_checks(console, checks)
    if any(check.is_config and not check.passed for check in checks):
        raise typer.Exit(2)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    first: Annotated[dt.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to build.")] = None,
    last: Annotated[dt.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day to build, included.")] = None,
    reports: Annotated[bool, typer.Option(help="Render, publish and send the reports of the touched months.")] = True,
) -> None:
    """Land, build and report in this process: the very assets that Dagster schedules."""
    from usage_etl.cli.pipeline import run_pipeline  # imports Dagster, which takes seconds

    summary = run_pipeline(
        config, first=first.date() if first else None, last=last.date() if last else None, with_reports=reports
    )
    print_summary(console, summary)
    if not summary.succeeded:
        raise typer.Exit(1)


@app.command()
def demo(
    target: Annotated[Path, typer.Option("--target", "-t", help="Folder for the demo organisation.")] = Path("demo"),
) -> None:
    """Write a realistic organisation as provider files and run the whole pipeline on it."""
    from usage_etl.cli.pipeline import run_pipeline
    from usage_etl.demo import write_demo

    console.print(f"Writing the demo organisation's provider files to {target} ...")
    write_demo(target)
    summary = run_pipeline(target / DEFAULT_FILE, first=None, last=None, with_reports=True)
    print_summary(console, summary)
    command = f"make dev  (or: {CONFIG_VARIABLE}={target / DEFAULT_FILE} dagster dev -w workspace.yaml)"
    console.print(f"\nOpen the pipeline on the same lake:  {command}", soft_wrap=True, highlight=False)
    if not summary.succeeded:
        raise typer.Exit(1)


@app.command()
def release(
    delivery_id: Annotated[str, typer.Argument(help="Id of the held or refused delivery.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Accept a delivery that was held because it is much smaller than the last good one; read a refused one again."""
    from usage_etl.cli.pipeline import release_delivery

    release_delivery(config, delivery_id)
    typer.echo(f"released {delivery_id}; the next landing run stages it")


@app.command()
def sends(
    config: ConfigOption = DEFAULT_CONFIG,
    arrived: Annotated[str, typer.Option(help="Key of a mail that did arrive: never send it again.")] = "",
    again: Annotated[str, typer.Option(help="Key of a mail that did not arrive: send it when it is next due.")] = "",
    reason: Annotated[str, typer.Option(help="How you know; kept in the ledger.")] = "",
) -> None:
    """List mails that wait for a person, or say what became of one."""
    from usage_etl.cli.pipeline import open_sends, settle_send

    for key, has_arrived in ((arrived, True), (again, False)):
        if key:
            if not reason:
                raise typer.BadParameter("say how you know with --reason")
            settled = settle_send(config, key, has_arrived=has_arrived, reason=reason)
            typer.echo(f"{settled.send_key[:12]} {'arrived' if has_arrived else 'will be sent again'}")
    for item in open_sends(config):
        send = item.send
        typer.echo(f"{item.send_key[:12]} {item.status:<9} {send.report} {send.period} to {send.recipient}: {item.status_reason}")


@app.command()
def verify(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Compare every stored byte of the lake with its manifest."""
    from usage_etl.cli.pipeline import verify_lake

    faults = verify_lake(config)
    for fault in faults:
        typer.echo(fault, err=True)
    typer.echo(f"{len(faults)} fault(s)")
    if faults:
        raise typer.Exit(1)


app.add_typer(directory_app, name="directory")
app.add_typer(quotas_app, name="quotas")
app.add_typer(limits_app, name="limits")
register_periods(app)
for command in (explain, recommendations, report, diff, summary, accounts):
    app.command()(command)


def main() -> None:
    """The whole command line, with every command imported."""
    run_app(app)


if __name__ == "__main__":
    main()

"""An installation of which only the closing's own assets run: what comes before them is put into its lake by hand."""

import dagster as dg

from assets.closing import close_job, close_schedule, closing_assets
from assets.closing_checks import closing_checks
from assets.partitions import range_tags
from assets.periods import edition_periods
from assets.resources import WorkspaceResource, open_workspace
from tests.unit.allocation.booking_lines import OWNERS, allocation, allocation_line, disputes
from usage_etl.delivery.manifest import Document, Edition
from usage_etl.delivery.publish import publish
from usage_etl.lake import WHOLE
from usage_etl.periods import Month, day_start
from usage_etl.schemas import (
    DIM_BUSINESS_UNIT,
    DIM_DEPARTMENT,
    DIM_DISPUTE,
    DIM_TEAM,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_CLOSED,
    MART_CHARGEBACK_MONTHLY,
)

SETTINGS = """\
version: "1"
organization: {{id: acme, name: Acme, time_zone: America/New_York}}
start_date: 2026-07-01
as_of_date: {as_of}
sources:
  - {{name: gateway, kind: litellm, location: landing/gateway}}
  - {{name: openai, kind: openai, location: landing/openai}}
close: {{requires_invoice: {invoice}, settle_days: 3, correction_threshold_cost: {threshold}}}
"""
JULY, AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (Month(2026, number) for number in range(7, 12))
MONTHS = (JULY, AUGUST, SEPTEMBER, OCTOBER, NOVEMBER)
TABLES = (MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY)


class Shop:
    """The installation below ``folder``."""

    def __init__(self, folder, *, as_of="2026-11-20", invoice="false", threshold="0"):
        self.folder, self.failing = folder, {}
        (folder / "usage_etl.yaml").write_text(
            SETTINGS.format(as_of=as_of, invoice=invoice, threshold=threshold), encoding="utf-8"
        )
        for name in ("landing/gateway", "landing/openai"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.config = folder / "usage_etl.yaml"
        self.workspace = open_workspace(str(self.config))
        for table, frame in (
            (DIM_TEAM, OWNERS.teams), (DIM_DEPARTMENT, OWNERS.departments), (DIM_BUSINESS_UNIT, OWNERS.business_units)
        ):  # fmt: skip
            self.workspace.lake.commit(table, WHOLE, frame)
        self.lines = {month: {} for month in MONTHS}
        for month in MONTHS[:4]:
            self.allocate(month, openai={"red": "60", "blue": "40"}, aws={"red": "7"})

    @property
    def book(self):
        return self.workspace.period_book

    def allocate(self, month, **providers):
        """What the rules give providers' months now; other providers stay as they were."""
        self.lines[month] |= {
            provider: [allocation_line(provider, month, team, cost) for team, cost in teams.items()]
            for provider, teams in providers.items()
        }
        lines = [line for provider in self.lines[month].values() for line in provider]
        self.workspace.lake.commit(MART_ALLOCATION_MONTHLY, month.first_day.isoformat(), allocation(*lines))

    def dispute(self, *rows):
        """The dispute files hold these rows now."""
        self.workspace.lake.commit(DIM_DISPUTE, WHOLE, disputes(*rows))

    def gates(self, reconciliation, invoice_tie_out, gates, *, invoice_tolerance):
        """Stands for the tolerance gates."""
        assert gates
        assert invoice_tolerance > 0
        return self.failures

    failures = ()

    @property
    def definitions(self):
        close = close_job()
        return dg.Definitions(
            assets=closing_assets(self.workspace.settings, failed_gates=self.gates),
            asset_checks=closing_checks(),
            schedules=[close_schedule(self.workspace.settings, close)],
            jobs=[
                close,
                dg.define_asset_job("monthly", selection=dg.AssetSelection.assets(MART_CHARGEBACK_MONTHLY.name)),
            ],
            resources={"workspace": WorkspaceResource(config_file=str(self.config))},
            executor=dg.in_process_executor,
        )

    def run(self, job, *months, config=None):
        """Runs a job over the months from the first to the last given."""
        keys = [month.first_day.isoformat() for month in months]
        tags = {"dagster/partition": keys[0]} if len(keys) == 1 else range_tags(keys[0], keys[-1])
        run_config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        if config is not None:
            run_config["ops"] = {MART_CHARGEBACK_CLOSED.name: {"config": config}}
        with dg.DagsterInstance.ephemeral() as instance:
            return self.definitions.resolve_job_def(job).execute_in_process(
                run_config=run_config, instance=instance, tags=tags, raise_on_error=False
            )

    def close(self, *months, **config):
        return self.run("close", *months, config=config)

    def booked(self, month):
        """The stored chargeback."""
        return self.workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [month.first_day.isoformat()]).collect()

    def publish(self, month):
        """Publishes the stored chargeback as finance files are."""
        status, periods, reopened_from = edition_periods(self.workspace, "chargeback", month)
        content = self.booked(month).drop("requests_count").write_csv().encode()
        edition = Edition(
            "chargeback", str(month), status, day_start(month.end), periods=periods, reopened_from=reopened_from
        )  # fmt: skip
        lock = self.workspace.ledger.exclusive(f"chargeback/{month}")
        return publish(self.workspace.out, edition, [Document("chargeback.csv", content, "text/csv")], lock=lock)

    def published(self, month):
        """Key to bytes of everything published of the month."""
        return {info.key: self.workspace.out.read(info.key) for info in self.workspace.out.list(f"chargeback/{month}/")}

    def stored(self, month):
        """Bytes of the month's closed lines and of its chargeback."""
        key = f"month={month.first_day}/part.parquet"
        return [self.workspace.store.read(f"{table.name}/{key}") for table in TABLES]

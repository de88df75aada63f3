"""What a provider's month is made from, as hashes that a closing records, and what differs when it is corrected."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import polars as pl

from assets.allocation import OWNER_TABLES
from assets.derive import day_keys
from assets.resources import Workspace
from usage_etl import __version__
from usage_etl.allocation.booking import lines_sha256
from usage_etl.allocation.corrections import correction_reason
from usage_etl.keys import fingerprint
from usage_etl.periods import Month, day_start
from usage_etl.schemas import (
    DIM_INVOICE,
    DIM_PRICE,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    MART_ALLOCATION_MONTHLY,
    Table,
)
from usage_etl.schemas.periods import Periods
from usage_etl.units import TOKEN_CLASSES

_USAGE_KEYS = ("usage_date", "model_id", "processing", "user_id", "api_key_id", "project_id", "investigation_id")
_RATE_COLUMNS = ("provider", "model_id", "processing", "region", "unit", "context_min_tokens", "from_minute", "to_minute",
                 "per_request", "per_unit", "unit_count", "currency")  # fmt: skip
_FX = ("invoice_currency", "billing_currency", "fx_rate", "fx_rate_date", "fx_rate_source")


class MonthInputs:
    """Inputs of one provider's month as they are now. Each is read when it is asked for."""

    def __init__(self, workspace: Workspace, provider_name: str, month: Month) -> None:
        self._workspace, self._provider_name, self._month = workspace, provider_name, month
        self._key = month.first_day.isoformat()

    def hashes(self) -> dict[str, str]:
        """Names of ``corrections.INPUT_WORDS`` to sha256."""
        return {
            "invoice": lines_sha256(self._invoices()),
            "bill": lines_sha256(self._of_provider(FACT_INVOICE_LINES_MONTHLY)),
            "usage": lines_sha256(self._usage()),
            "prices": lines_sha256(self._prices()),
            "directory": fingerprint({table.name: lines_sha256(self._owners(table)) for table in OWNER_TABLES.values()}),
            "rules": self._rules(),
            "exchange_rates": lines_sha256(self._of_provider(MART_ALLOCATION_MONTHLY).select(_FX).unique()),
            "program": __version__,
        }

    def _of_provider(self, table: Table) -> pl.DataFrame:
        is_of = pl.col("provider_name") == self._provider_name
        return self._workspace.lake.scan(table, [self._key]).filter(is_of).collect()

    def _invoices(self) -> pl.DataFrame:
        invoices = self._workspace.table(DIM_INVOICE)
        is_of = (pl.col("provider_name") == self._provider_name) & (pl.col("billing_month") == self._month.first_day)
        return invoices.filter(is_of)

    @cached_property
    def _daily(self) -> pl.LazyFrame:
        days = self._workspace.lake.scan(FACT_USAGE_DAILY, day_keys(self._key))
        return days.filter(pl.col("host").cast(pl.String) == self._provider_name)

    def _usage(self) -> pl.DataFrame:
        """What was used by whom, without what it costs."""
        return self._daily.group_by(_USAGE_KEYS).agg(pl.col("requests_count", *TOKEN_CLASSES).sum()).collect()

    def _prices(self) -> pl.DataFrame:
        """Rates in force in the month of whichever lists price the provider's usage, without their provenance."""
        prices = self._workspace.table(DIM_PRICE)
        used = self._daily.select(pl.col("price_id").cast(pl.String)).unique().collect()["price_id"]
        lists = prices.filter(pl.col("price_id").is_in(used.implode()))["provider"].unique()
        start, end = day_start(self._month.first_day), day_start(self._month.end)
        in_force = (pl.col("valid_from") < end) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > start))
        rates = [name for name in prices.columns if name.endswith("_per_mtok") or name in _RATE_COLUMNS]
        return prices.filter(in_force & pl.col("provider").is_in(lists.implode())).select(rates)

    def _owners(self, table: Table) -> pl.DataFrame:
        """Spans of the directory inside the month, without names and addresses: those move no money."""
        rows, month = self._workspace.table(table), self._month
        end = pl.col("valid_to").fill_null(month.end)
        in_force = rows.filter((pl.col("valid_from") < month.end) & (end > month.first_day))
        moving = [name for name in rows.columns if not name.endswith(("_name", "_email"))]
        return in_force.with_columns(
            valid_from=pl.max_horizontal("valid_from", pl.lit(month.first_day)), valid_to=pl.min_horizontal(end, month.end)
        ).select(moving)

    def _rules(self) -> str:
        settings = self._workspace.settings
        reconciliation = settings.reconciliation.model_dump(include={"tolerance_pct", "invoice_tolerance_cost"}, mode="json")
        in_force = [rule.model_dump_json() for rule in settings.allocation.rules if rule.is_in_force(self._month.first_day)]
        others = settings.allocation.model_dump(exclude={"rules"}, mode="json")
        return fingerprint({"rules": in_force, "others": others, "reconciliation": reconciliation})


def closing_inputs(workspace: Workspace, provider_name: str, months: Sequence[Month]) -> dict[str, str]:
    """What a closing records: for its month and each month that it corrects, hash by ``<month>/<name>``."""
    recorded: dict[str, str] = {}
    for month in months:
        hashes = MonthInputs(workspace, provider_name, month).hashes()
        recorded |= {f"{month}/{name}": value for name, value in hashes.items()}
    return recorded


class Reasons:
    """Why a closed month is corrected: what differs from the newest closing that holds lines of it. Asked once a month."""

    def __init__(self, workspace: Workspace, periods: Periods) -> None:
        self._workspace, self._periods = workspace, periods
        self._found: dict[tuple[str, Month], str] = {}

    def __call__(self, provider_name: str, month: Month) -> str:
        """One text of ``correction_reason``."""
        key = (provider_name, month)
        if key not in self._found:
            recorded = self._recorded(provider_name, month)
            present = MonthInputs(self._workspace, provider_name, month).hashes() if recorded else {}
            self._found[key] = correction_reason(recorded, present)
        return self._found[key]

    def _recorded(self, provider_name: str, month: Month) -> Mapping[str, str]:
        prefix = f"{month}/"
        recorded: dict[str, str] = {}
        for closing in self._periods:  # by month: the newest comes last
            if closing.provider_name == provider_name and f"{prefix}bill" in closing.inputs:
                recorded = {name.removeprefix(prefix): value for name, value in closing.inputs.items() if name.startswith(prefix)}
        return recorded

"""``usage-etl accounts``: users, pools, months of tokens and quotas as the marts have them, on screen or as CSV."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import polars as pl
import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption, month_of
from usage_etl.cli.show import print_csv, print_rows, printable
from usage_etl.errors import UsageEtlError
from usage_etl.periods import Month
from usage_etl.reports.csv_dialect import guard_text
from usage_etl.schemas import MART_ACCOUNTS, MART_POOLS, MART_QUOTA_STATUS, MART_TOKENS_MONTHLY, Table


class What(StrEnum):
    """Which figures."""

    USERS = "users"
    POOLS = "pools"
    TOKENS = "tokens"
    QUOTAS = "quotas"


_TABLES: dict[What, tuple[Table, tuple[str, ...]]] = {
    What.USERS: (
        MART_ACCOUNTS,
        ("user_id", "max_inference_tokens", "inference_tokens", "previous_inference_tokens", "max_embedding_tokens",
         "embedding_tokens", "lifetime_total_tokens", "first_seen_date", "last_active_date"),
    ),
    What.POOLS: (
        MART_POOLS,
        ("pool_id", "token_kind", "purchased_tokens", "assigned_tokens", "used_tokens", "remaining_tokens", "runway_date"),
    ),
    What.TOKENS: (MART_TOKENS_MONTHLY, ("month", "token_kind", "total_tokens", "requests_count")),
    What.QUOTAS: (
        MART_QUOTA_STATUS,
        ("scope_kind", "scope_id", "measure", "period_kind", "limit_quantity", "used_quantity", "projected_quantity",
         "breach_date"),
    ),
}  # fmt: skip
"""What is asked to its table, and the columns that fit a screen."""


def accounts(
    what: Annotated[What, typer.Argument(help="users, pools and quotas of a month; tokens of every month.")],
    month: Annotated[str, typer.Option(help="Month as YYYY-MM; without it, that of the last complete day.")] = "",
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print every column as CSV, with an apostrophe before what a spreadsheet takes for a formula."
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Allocations and usage of users, purchased tokens, tokens by month over the whole history, or quotas as they stand."""
    from assets.resources import open_workspace  # imports Dagster

    asked = month_of(month) if month else None
    workspace = open_workspace(str(config.resolve()))
    table, shown = _TABLES[what]
    key = (asked or Month.of(workspace.as_of_date)).first_day.isoformat()
    stored = workspace.lake.partitions(table)
    keys = [one for one in stored if one <= key] if what is What.TOKENS else [one for one in stored if one == key]
    if not keys:
        raise UsageEtlError(f"{key[:7]} has no {table.name} yet; `usage-etl run --from {key}` builds it")
    found = workspace.lake.scan(table, keys).collect().with_columns(pl.col(pl.Categorical).cast(pl.String))
    if what is What.QUOTAS:
        found = found.filter(pl.col("status_date") == pl.col("status_date").max())
    found = found.sort(*(name for name in dict.fromkeys(("month", *table.sort_by)) if name in found.columns))
    if csv:
        print_csv(found, text=guard_text)
        return
    print_rows(
        shown, [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in found.select(shown).rows()]
    )

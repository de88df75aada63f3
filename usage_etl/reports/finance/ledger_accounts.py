"""Which account of the general ledger a cost center's money is booked to, as the journal of the month says."""

from __future__ import annotations

import polars as pl

from usage_etl.periods import Month


def gl_accounts(journal: pl.DataFrame, cost_centers: pl.DataFrame, *, month: Month) -> dict[str, str]:
    """Cost center to its account: of the month's journal, several of them in order and joined by `` + ``.

    Cost centers that the journal does not charge have the account of the directory on the last day; others are absent.
    """
    day = month.last_day
    is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    listed = cost_centers.filter(is_valid).drop_nulls(["cost_center_id", "gl_account"]).sort("cost_center_id", "valid_from")
    accounts = dict(listed.select("cost_center_id", "gl_account").iter_rows())
    booked = (
        journal.filter(pl.col("line_id").is_not_null() & pl.col("cost_center_id").is_not_null())
        .group_by("cost_center_id")
        .agg(pl.col("gl_account").unique().sort().str.join(" + "))
    )
    return accounts | dict(booked.iter_rows())

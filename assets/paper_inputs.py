"""What papers are made from: booked lines, cost centers of the directory, disputes, and the proof of the mart."""

from collections.abc import Mapping

import polars as pl

from assets.resources import Workspace
from usage_etl import __version__
from usage_etl.periods import Month
from usage_etl.reports.inputs import ProofFacts
from usage_etl.reports.statement_disputes import disputes_by_cost_center
from usage_etl.reports.statement_model import CostCenter, DisputeFact
from usage_etl.schemas import DIM_COST_CENTER, DIM_DISPUTE, MART_CHARGEBACK_MONTHLY
from usage_etl.units import UNALLOCATED, UNEXPLAINED

_DISPUTE_MONTHS = 12
"""Months back in which the line of a dispute is looked for."""


def center_of(workspace: Workspace, center_id: str, lines: pl.DataFrame, known: Mapping[str, Mapping[str, str]]) -> CostCenter:
    """The directory's row; names and accounts of what it does not know come from the lines and the settings."""
    journal, row = workspace.settings.journal, known.get(center_id, {})
    accounts = {UNALLOCATED: journal.unallocated_account, UNEXPLAINED: journal.unexplained_account}
    return CostCenter(
        cost_center_id=center_id,
        cost_center_name=row.get("cost_center_name") or str(lines["cost_center_name"].max()),
        gl_account=row.get("gl_account") or accounts.get(center_id, journal.expense_account),
        owner_email=row.get("owner_email") or "",
    )


def centers_of(workspace: Workspace, month: Month) -> dict[str, dict[str, str]]:
    """Cost center to its row of the directory on the month's last day."""
    day = month.last_day
    is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    rows = workspace.table(DIM_COST_CENTER).filter(is_valid).iter_rows(named=True)
    return {row["cost_center_id"]: row for row in rows}


def disputes_of(workspace: Workspace, month: Month) -> dict[str, tuple[DisputeFact, ...]]:
    """Cost center to the disputes about its lines of the last twelve months, or whose adjustment lines it has."""
    disputes = workspace.table(DIM_DISPUTE)
    if not disputes.height:
        return {}
    months, earlier = [month], month
    for _ in range(_DISPUTE_MONTHS):
        earlier = earlier.previous
        months.append(earlier)
    return disputes_by_cost_center(disputes, (lines_of(workspace, one) for one in months))


def by_center(lines: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Cost center to its lines."""
    return {str(key[0]): part for key, part in lines.partition_by("cost_center_id", as_dict=True).items()}


def lines_of(workspace: Workspace, month: Month) -> pl.DataFrame:
    """What is booked in ``month``; no rows where nothing is."""
    return workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [month.first_day.isoformat()]).collect()


def is_known(workspace: Workspace, month: Month) -> bool:
    """Whether anything was ever booked in ``month``: without it there is nothing to compare with."""
    return workspace.lake.head(MART_CHARGEBACK_MONTHLY, month.first_day.isoformat()) is not None


def proof_of(workspace: Workspace, month: Month) -> ProofFacts:
    """Of the mart alone: a closed month's lines were priced by the book of its closing, not by the one of now."""
    key = month.first_day.isoformat()
    head = workspace.lake.head(MART_CHARGEBACK_MONTHLY, key)
    manifests = {f"{MART_CHARGEBACK_MONTHLY.name}/{key}": head.sha256} if head else {}
    return ProofFacts(manifests=manifests, price_book_version="", code_version=__version__)

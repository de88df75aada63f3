"""Corrections: what the rules give a closed month now, less what is booked of it, owner by owner and kind by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.keys import fingerprint
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.remainder import to_attos
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import Periods

IDENTITY = (
    "provider_name",
    "billing_account_id",
    "sub_account_id",
    "service_name",
    "charge_kind",
    "charge_category",
    "commitment_discount_id",
    "model_id",
    "line_kind",
    "charge_basis",
    "business_unit_id",
    "department_id",
    "team_id",
    "cost_center_id",
    "project_id",
    "investigation_id",
    "billing_currency",
)
"""What makes two lines of one month the same: who pays and what for. Not how it was found: rule, rate, names, invoice id."""

VIEWS = ("allocated_cost", "allocated_effective_cost")
INPUT_WORDS: Mapping[str, str] = {
    "invoice": "invoice changed",
    "bill": "bill restated",
    "usage": "usage restated",
    "prices": "prices changed",
    "directory": "directory changed",
    "rules": "allocation rules changed",
    "exchange_rates": "exchange rates changed",
    "program": "the program changed",
}
"""Inputs of an allocation that a closing records, and what is said of a correction when one of them differs."""

_FROM_LINES = (
    "business_unit_name",
    "department_name",
    "team_name",
    "cost_center_name",
    "invoice_currency",
    "fx_rate",
    "fx_rate_date",
    "fx_rate_source",
)
_ZERO = pl.lit(0).cast(MONEY)
ReasonOf = Callable[[str, Month], str]
"""Provider and closed month to what changed since; see ``correction_reason``."""


def correction_reason(recorded: Mapping[str, str], present: Mapping[str, str]) -> str:
    """What differs between the inputs that a closing recorded and those of now; both map names of INPUT_WORDS to a sha256.

    Nothing recorded: the provider had no line in the month when it was closed. The program is named only where nothing else
    differs, because each version would be.
    """
    if not recorded:
        return "delivered after the month was closed"
    changed = [name for name in INPUT_WORDS if recorded.get(name) != present.get(name)]
    named = [name for name in changed if name != "program"] or changed
    return ", ".join(INPUT_WORDS[name] for name in named) or "no recorded input differs"


def corrections(
    month: Month,
    allocation_now: Mapping[Month, pl.DataFrame],
    closed_lines: pl.DataFrame,
    periods: Periods,
) -> pl.DataFrame:
    """Every difference that is due in ``month``: one row per corrected month and identity whose amounts changed.

    For each provider whose ``month`` is not closed, the closed months right before it are compared: their lines as the rules
    give them now with what closings in force hold of them, their own lines and earlier corrections. Accepted disputes are no
    part of either. Months that ``allocation_now`` does not name are not compared. An identity that vanished takes back all that
    is booked of it. Columns: those of IDENTITY, corrects_month,
    both views as the change, now_cost and booked_cost, and what the newer side says of names, invoice and exchange rate.

    Conserved: per provider, corrected month and currency, in both views, the changes add up to the change of the total.
    Raises ConservationError where they do not.
    """
    found = [_nothing()]
    for earlier, now in sorted(allocation_now.items()):
        if earlier >= month:
            continue
        booked = booked_of(closed_lines, earlier)
        providers = [
            name
            for name in sorted({*now["provider_name"].unique(), *booked["provider_name"].unique()})
            if not periods.is_closed(name, month) and earlier in periods.closed_run_before(name, month)
        ]
        due = pl.col("provider_name").is_in(providers)
        found.append(_changes(now.filter(due), booked.filter(due), earlier))
    return pl.concat(found)


def booked_of(closed_lines: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Lines of closings that are a closed month's money: its own ones, and its corrections in later closings."""
    first_day = pl.lit(month.first_day)
    is_own = (pl.col("month") == first_day) & pl.col("corrects_month").is_null()
    return closed_lines.filter(pl.col("dispute_id").is_null() & (is_own | (pl.col("corrects_month") == first_day)))


def moved_costs(changes: pl.DataFrame) -> pl.DataFrame:
    """How much moves: per provider, corrected month and currency the sum of absolute changes, of the view that moves more."""
    return (
        changes.group_by("provider_name", "corrects_month", "billing_currency")
        .agg(pl.col(*VIEWS).abs().sum())
        .select("provider_name", "corrects_month", "billing_currency", moved_cost=pl.max_horizontal(*VIEWS))
        .sort("provider_name", "corrects_month", "billing_currency")
    )


def due_changes(changes: pl.DataFrame, *, threshold: Decimal) -> pl.DataFrame:
    """Changes that are booked: those of a provider's month that moves more than ``threshold`` in any currency.

    All currencies of the month go together, because a bill that changes its currency leaves one and enters another.
    """
    above = moved_costs(changes).filter(pl.col("moved_cost") > threshold)
    return changes.join(above, on=["provider_name", "corrects_month"], how="semi")


def correction_lines(month: Month, changes: pl.DataFrame, *, statuses: Mapping[str, str], reason_of: ReasonOf) -> pl.DataFrame:
    """MART_CHARGEBACK_MONTHLY lines that book ``changes`` in ``month``.

    requests_count and total_tokens are 0 and metered_cost is null: a correction moves money, and the usage behind the
    corrected month is counted on its own lines. invoice_line_id is null by contract: a line can sum several invoice lines.
    """
    rows = [_line(month, row, statuses, reason_of) for row in changes.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=MART_CHARGEBACK_MONTHLY.polars_schema, orient="row")


def _line(month: Month, row: Mapping[str, Any], statuses: Mapping[str, str], reason_of: ReasonOf) -> dict[str, Any]:
    provider, corrects = row["provider_name"], Month.of(row["corrects_month"])
    identity = {name: row[name] for name in IDENTITY}
    now, booked = (f"{row[name]:.18f}".rstrip("0").rstrip(".") for name in ("now_cost", "booked_cost"))
    line = dict.fromkeys(MART_CHARGEBACK_MONTHLY.columns) | {name: row[name] for name in (*IDENTITY, *_FROM_LINES, *VIEWS)}
    return line | {
        "month": month.first_day,
        "line_id": fingerprint({"correction": identity, "of": str(corrects), "in": str(month)})[:32],
        "invoice_id": row["invoice_id"],
        "charge_class": "Correction",
        "requests_count": 0,
        "total_tokens": 0,
        "rule_name": "correction",
        "allocation_rule": f"{corrects}: {now} {row['billing_currency']} now, {booked} booked before",
        "corrects_month": corrects.first_day,
        "correction_reason": reason_of(provider, corrects),
        "period_status": statuses[provider],
    }


def _changes(now: pl.DataFrame, booked: pl.DataFrame, corrected: Month) -> pl.DataFrame:
    names = (*IDENTITY, "invoice_id", *_FROM_LINES, *VIEWS, "line_id")
    sides = pl.concat([now.select(*names, is_now=pl.lit(value=True)), booked.select(*names, is_now=pl.lit(value=False))])
    signed = [pl.when("is_now").then(pl.col(view)).otherwise(-pl.col(view)).sum().alias(view) for view in VIEWS]
    invoice_id, cost = pl.col("invoice_id").drop_nulls(), pl.col(VIEWS[0])
    changes = (
        sides.sort("is_now", "line_id", descending=[True, False])
        .group_by(IDENTITY, maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in _FROM_LINES),
            *signed,
            invoice_id=pl.when(invoice_id.n_unique() == 1).then(invoice_id.first()),
            now_cost=cost.filter("is_now").sum(),
            booked_cost=cost.filter(~pl.col("is_now")).sum(),
        )
        .filter(pl.any_horizontal(pl.col(view) != _ZERO for view in VIEWS))
        .with_columns(corrects_month=pl.lit(corrected.first_day))
        .select(*_nothing().columns)
    )
    _check_conserved(changes, now, booked, corrected)
    return changes


def _nothing() -> pl.DataFrame:
    types = MART_CHARGEBACK_MONTHLY.polars_schema
    names = (*IDENTITY, "corrects_month", "invoice_id", *_FROM_LINES, *VIEWS)
    return pl.DataFrame(schema={**{name: types[name] for name in names}, "now_cost": MONEY, "booked_cost": MONEY})


def _check_conserved(changes: pl.DataFrame, now: pl.DataFrame, booked: pl.DataFrame, corrected: Month) -> None:
    """Added up again in Python integers."""
    for view in VIEWS:
        left, right = _totals(changes, view), _totals(now, view)
        for key, attos in _totals(booked, view).items():
            right[key] -= attos
        for key in {*left, *right}:
            if left[key] != right[key]:
                raise ConservationError(f"{view} of corrections of {corrected}, {key}, in 1e-18", left[key], right[key])


def _totals(frame: pl.DataFrame, view: str) -> dict[tuple[object, ...], int]:
    groups = frame.select("provider_name", "billing_currency", view).partition_by(
        "provider_name", "billing_currency", as_dict=True
    )
    return defaultdict(int, {key: sum(attos or 0 for attos in to_attos(group[view])) for key, group in groups.items()})

"""Disputes: an accepted one becomes a pair of lines, off the owner who disputed and onto who takes it over. Booked once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.allocation.owner_paths import UNALLOCATED_PATH, OwnerPaths
from usage_etl.errors import DisputeError
from usage_etl.keys import fingerprint
from usage_etl.money import minor_unit
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, from_attos, largest_remainder, round_half_even
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import Periods

ORIGIN = "finance/disputes"
_FROM, _TO = "dispute", "dispute_taken_over"
"""rule_name of the two sides of a pair."""
_OF_THE_LINE = (
    "charge_basis",
    "invoice_id",
    "provider_name",
    "billing_account_id",
    "sub_account_id",
    "service_name",
    "commitment_discount_id",
    "model_id",
    "billing_currency",
    "invoice_currency",
    "fx_rate",
    "fx_rate_date",
    "fx_rate_source",
)
_OF_THE_OWNER = (*UNALLOCATED_PATH, "project_id", "investigation_id")


_LINE_OF_RULE = r" of line (\S+) of "
"""Finds the disputed line in the allocation_rule of ``_amounts``."""


@dataclass(frozen=True)
class _Booked:
    """What closings in force hold of a dispute."""

    month: str
    line_id: str
    cost: Decimal


@dataclass(frozen=True)
class _Case:
    """An accepted dispute with the line that it is about."""

    dispute: Mapping[str, Any]
    line: Mapping[str, Any]

    @property
    def accepted_cost(self) -> Decimal:
        return accepted_cost(self.dispute)

    @property
    def month(self) -> Month:
        return Month.of(self.line["month"])


def accepted_cost(dispute: Mapping[str, Any]) -> Decimal:
    """Amount that an accepted row of dim_dispute takes off the owner."""
    amount: Decimal = dispute["disputed_cost"] if dispute["accepted_cost"] is None else dispute["accepted_cost"]
    return amount


def booking_month_of(provider_name: str, month: Month, periods: Periods) -> Month:
    """Where an adjustment of a line of ``month`` is booked: there, or in the first month after it that is not closed."""
    return periods.first_open_after(provider_name, month) if periods.is_closed(provider_name, month) else month


def dispute_lines(
    month: Month,
    disputes: pl.DataFrame,
    published: pl.DataFrame,
    closed_lines: pl.DataFrame,
    *,
    periods: Periods,
    owners: OwnerPaths,
    statuses: Mapping[str, str],
) -> pl.DataFrame:
    """MART_CHARGEBACK_MONTHLY lines of the accepted disputes (dim_dispute) that are booked in ``month``.

    ``published`` holds the disputed lines, of whatever month. The pair conserves both views: the owner of the line gives back
    ``accepted_cost``, and of the effective cost the same share; charge_to_team_id takes it, by the team's split on the last
    day of the line's month, or it stays unallocated. A dispute is booked once: what a closing in force holds is left.
    Open and rejected disputes book nothing.

    Raises DisputeError for every accepted dispute that names a line that is not published, an amount of another sign, beyond
    the line or finer than its currency, or a team that no directory knows; and for one that changed after it was booked.
    """
    lines, booked = _by_line(published), _booked(closed_lines)
    problems = [*_changed_since(disputes, booked), *_faults(disputes, "accepted", lines, booked, owners)]
    if problems:
        raise DisputeError(ORIGIN, problems)
    cases = [
        _Case(row, lines[row["line_id"]])
        for row in disputes.sort("dispute_id").iter_rows(named=True)
        if row["resolution"] == "accepted" and row["dispute_id"] not in booked
    ]
    due = [case for case in cases if booking_month_of(case.line["provider_name"], case.month, periods) == month]
    rows = [row for case in due for row in _pair(case, month, periods, owners, statuses)]
    return pl.DataFrame(rows, schema=MART_CHARGEBACK_MONTHLY.polars_schema, orient="row")


def open_faults(disputes: pl.DataFrame, published: pl.DataFrame, closed_lines: pl.DataFrame, owners: OwnerPaths) -> list[str]:
    """Of open disputes what would stop the chargeback if they were accepted as they stand.

    They book nothing and stop nothing: the line of one may be gone because a bill was restated, which can be the answer to it.
    """
    return [*_faults(disputes, "open", _by_line(published), _booked(closed_lines), owners)]


def _by_line(published: pl.DataFrame) -> dict[str, Mapping[str, Any]]:
    return {row["line_id"]: row for row in published.unique("line_id", keep="last", maintain_order=True).iter_rows(named=True)}


def _booked(closed_lines: pl.DataFrame) -> dict[str, _Booked]:
    """Dispute to what closings in force hold of it, whether or not a file still has it."""
    taken = closed_lines.filter(pl.col("dispute_id").is_not_null() & (pl.col("rule_name") == _FROM))
    return {
        row["dispute_id"]: _Booked(str(Month.of(row["month"])), row["line_id"], -row["allocated_cost"])
        for row in taken.select(
            "dispute_id", "month", "allocated_cost", line_id=pl.col("allocation_rule").str.extract(_LINE_OF_RULE)
        ).iter_rows(named=True)
    }


def _changed_since(disputes: pl.DataFrame, booked: Mapping[str, _Booked]) -> Iterator[str]:
    for row in disputes.sort("dispute_id").iter_rows(named=True):
        found = booked.get(row["dispute_id"])
        if found and (row["resolution"] != "accepted" or accepted_cost(row) != found.cost or row["line_id"] != found.line_id):
            yield (
                f"dispute {row['dispute_id']} is booked in {found.month} with {_plain(found.cost)} of line {found.line_id} and"
                f" was changed since; put it back, and raise another dispute of the adjustment for the way back"
            )


def _faults(
    disputes: pl.DataFrame,
    resolution: str,
    lines: Mapping[str, Mapping[str, Any]],
    booked: Mapping[str, _Booked],
    owners: OwnerPaths,
) -> Iterator[str]:
    """What is wrong with disputes of ``resolution`` that are not booked."""
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for earlier in booked.values():
        taken[earlier.line_id] += earlier.cost
    for row in disputes.filter(pl.col("resolution") == resolution).sort("dispute_id").iter_rows(named=True):
        name, line_id = row["dispute_id"], row["line_id"]
        if name in booked:
            continue
        if line_id not in lines:
            yield f"dispute {name}: line {line_id} is in no published chargeback; use a line_id of chargeback.csv"
            continue
        yield from (f"dispute {name}: {fault}" for fault in _line_faults(row, lines[line_id], taken, owners))


def _line_faults(row: Mapping[str, Any], line: Mapping[str, Any], taken: dict[str, Decimal], owners: OwnerPaths) -> Iterable[str]:
    cost, currency = line["allocated_cost"], line["billing_currency"]
    named = f"line {row['line_id']} of {cost.normalize():f} {currency}"
    for column in ("disputed_cost", "accepted_cost"):
        amount = row[column]
        if amount is None:
            continue
        if amount * cost < 0:
            yield f"{column} {_plain(amount)} has another sign than {named}"
        elif abs(amount) > abs(cost):
            yield f"{column} {_plain(amount)} is more than {named}"
        elif (Fraction(amount) / Fraction(minor_unit(currency))).denominator != 1:
            yield f"{column} {_plain(amount)} is finer than {currency} can be paid, as for {named}"
    taken[row["line_id"]] += accepted_cost(row)
    if abs(taken[row["line_id"]]) > abs(cost) >= abs(accepted_cost(row)):
        yield f"with earlier disputes {_plain(taken[row['line_id']])} is taken off {named}, which is more than it has"
    team_id, last_day = row["charge_to_team_id"], Month.of(line["month"]).last_day
    if team_id is not None and not owners.of_team(team_id, last_day):
        yield f"charge_to_team_id {team_id} is no team on {last_day} in the directory teams.csv"


def _pair(
    case: _Case, month: Month, periods: Periods, owners: OwnerPaths, statuses: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    line, cost = case.line, case.accepted_cost
    if cost == 0:
        return
    effective = _same_share(line["allocated_effective_cost"], cost, line["allocated_cost"], line["billing_currency"])
    owner = {name: line[name] for name in _OF_THE_OWNER}
    team_id = case.dispute["charge_to_team_id"]
    paths = owners.of_team(team_id, case.month.last_day) if team_id is not None else [(UNALLOCATED_PATH, Decimal(100))]
    keys, weights = [path["cost_center_id"] + path["department_id"] for path, _ in paths], [pct for _, pct in paths]
    unit = minor_unit(line["billing_currency"])
    costs, effectives = (largest_remainder(total, weights, unit=unit, tie_keys=keys) for total in (cost, effective))
    base = _base(case, month, periods, statuses)
    yield base | owner | _amounts(case, month, side=_FROM, owner=owner, cost=-cost, effective=-effective)
    for (path, _), part, effective_part in zip(paths, costs, effectives, strict=True):
        yield base | path | _amounts(case, month, side=_TO, owner=path, cost=part, effective=effective_part)


def _base(case: _Case, month: Month, periods: Periods, statuses: Mapping[str, str]) -> dict[str, Any]:
    line, dispute = case.line, case.dispute
    is_closed = periods.is_closed(line["provider_name"], case.month)
    return {
        **dict.fromkeys(MART_CHARGEBACK_MONTHLY.columns),
        **{name: line[name] for name in _OF_THE_LINE},
        "month": month.first_day,
        "line_kind": "dispute",
        "charge_kind": "adjustment",
        "charge_category": "Adjustment",
        "charge_class": "Correction" if is_closed else None,
        "requests_count": 0,
        "total_tokens": 0,
        "corrects_month": case.month.first_day,
        "correction_reason": f"dispute {dispute['dispute_id']} accepted",
        "dispute_id": dispute["dispute_id"],
        "period_status": statuses[line["provider_name"]],
    }


def _amounts(
    case: _Case, month: Month, *, side: str, owner: Mapping[str, Any], cost: Decimal, effective: Decimal
) -> dict[str, Any]:
    key = {"dispute": case.dispute["dispute_id"], "side": side, "owner": dict(owner), "in": str(month)}
    taker = case.dispute["charge_to_team_id"] or "unallocated"
    accepted = f"{_plain(case.accepted_cost)} {case.line['billing_currency']}"
    return {
        "line_id": fingerprint(key)[:32],
        "allocated_cost": cost,
        "allocated_effective_cost": effective,
        "rule_name": side,
        "allocation_rule": f"{accepted} of line {case.line['line_id']} of {case.month} charged to {taker}",
    }


def _same_share(effective: Decimal, part: Decimal, whole: Decimal, currency: str) -> Decimal:
    """Of the effective cost the share that ``part`` is of ``whole``, rounded half-even to the minor unit."""
    unit = minor_unit(currency)
    units = round_half_even(Fraction(effective) * Fraction(part) / Fraction(whole) / Fraction(unit))
    amount: Decimal = from_attos([units * int(Fraction(unit) * ATTOS)], "amount")[0]
    return amount


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"

"""Lines, directories and closings for the tests of booking: two providers, a few teams, every column that matters."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal

import polars as pl

from usage_etl.allocation.booking import booked_month, closing_lines, lines_sha256
from usage_etl.allocation.owner_paths import OwnerPaths
from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_DISPUTE,
    DIM_TEAM,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_CLOSED,
    MART_CHARGEBACK_MONTHLY,
)
from usage_etl.schemas.periods import ALL_OTHERS, Closing, Periods

LATER = dt.date(2027, 6, 30)
JULY, AUGUST, SEPTEMBER, OCTOBER = (Month(2026, number) for number in (7, 8, 9, 10))
AT = dt.datetime(2026, 11, 9, 8, tzinfo=dt.UTC)


def allocation_line(provider, month, team, cost, *, effective=None, currency="USD", model="gpt-5.2", **others):
    """A line of mart_allocation_monthly: ``team`` pays ``cost`` of ``model``."""
    kind = "unallocated" if team == "unallocated" else "allocated"
    values = {
        "month": month.first_day,
        "line_kind": kind,
        "charge_basis": "billed",
        "invoice_line_id": fingerprint({"line": [provider, str(month), model]})[:32],
        "provider_name": provider,
        "billing_account_id": f"{provider}-account",
        "service_name": "API",
        "charge_kind": "usage",
        "charge_category": "Usage",
        "model_id": model,
        **{f"{entity}_id": f"{entity}-of-{team}" for entity in ("business_unit", "department", "cost_center")},
        **{f"{entity}_name": f"{entity} of {team}" for entity in ("business_unit", "department", "cost_center")},
        "team_id": team,
        "team_name": team.title(),
        "requests_count": 7,
        "total_tokens": 700,
        "metered_cost": Decimal(cost),
        "allocated_cost": Decimal(cost),
        "allocated_effective_cost": Decimal(cost if effective is None else effective),
        "billing_currency": currency,
        "rule_name": "usage",
        "allocation_rule": "by metered cost",
        **others,
    }
    identity = {name: values[name] for name in ("provider_name", "team_id", "model_id", "billing_currency", "line_kind")}
    return {"line_id": fingerprint({"month": str(month), **identity})[:32], **values}


def allocation(*lines):
    """MART_ALLOCATION_MONTHLY of ``allocation_line`` rows."""
    rows = [dict.fromkeys(MART_ALLOCATION_MONTHLY.columns) | line for line in lines]
    return MART_ALLOCATION_MONTHLY.validate(pl.DataFrame(rows, schema=MART_ALLOCATION_MONTHLY.polars_schema, orient="row"))


def team_row(team, *, since=dt.date(2020, 1, 1), until=None, cost_center=None, pct=None):
    """A row of dim_team."""
    center = cost_center or f"cost_center-of-{team}"
    return (team, team.title(), f"department-of-{team}", f"department of {team}", center, center, None, pct, since, until)


def owner_paths(*rows, department_name=None, cost_center_names=()):
    """Directories of the teams of ``team_row`` rows; their departments belong to one business unit."""
    departments = sorted({row[2] for row in rows})
    start = dt.date(2020, 1, 1)
    return OwnerPaths(
        pl.DataFrame(rows, schema=DIM_TEAM.polars_schema, orient="row"),
        _frame(DIM_DEPARTMENT, [(name, department_name or name, "bu", None, start, None) for name in departments]),
        _frame(DIM_BUSINESS_UNIT, [("bu", "The unit", None, None, start, None)]),
        pl.DataFrame(
            [{"cost_center_id": center, "cost_center_name": name, "valid_from": start} for center, name in cost_center_names],
            schema=DIM_COST_CENTER.polars_schema,
        ),
    )


def _frame(table, rows):
    return pl.DataFrame(rows, schema=table.polars_schema, orient="row")


OWNERS = owner_paths(*(team_row(name) for name in ("red", "blue", "green")))


def dispute(dispute_id, line_id, cost, *, resolution="accepted", accepted=None, to=None):
    """A row of dim_dispute."""
    return (
        dispute_id, line_id, Decimal(cost), "not ours", "owner@example.com", dt.date(2026, 11, 20), resolution,
        None if accepted is None else Decimal(accepted), to, None,
    )  # fmt: skip


def disputes(*rows):
    """DIM_DISPUTE of ``dispute`` rows."""
    return DIM_DISPUTE.validate(pl.DataFrame(rows, schema=DIM_DISPUTE.polars_schema, orient="row"))


class Books:
    """Allocation, closings and disputes of a few months, booked by the product."""

    def __init__(self, *, threshold="0", as_of=LATER, owners=OWNERS):
        self.now = {}
        self.closed_lines = MART_CHARGEBACK_CLOSED.empty()
        self.all_closings = []
        self.disputes = disputes()
        self.threshold, self.as_of, self.owners = Decimal(threshold), as_of, owners
        self.reasons = {}

    @property
    def periods(self):
        return Periods(self.all_closings)

    def allocate(self, month, *lines):
        """What the rules give the month now, in place of what they gave before."""
        self.now[month] = allocation(*lines)

    def published(self):
        """Lines that a dispute may name."""
        types = MART_CHARGEBACK_MONTHLY.polars_schema
        blank = [pl.lit(None, types[name]).alias(name) for name in types if name not in MART_ALLOCATION_MONTHLY.columns]
        frames = [MART_CHARGEBACK_MONTHLY.empty()]
        for month, allocated in self.now.items():
            still_open = [name for name in allocated["provider_name"].unique() if not self.periods.is_closed(name, month)]
            frames.append(allocated.filter(pl.col("provider_name").is_in(still_open)).with_columns(blank).select(types.names()))
        return pl.concat(frames)

    def book(self, month, *, published=None):
        """The chargeback of ``month``."""
        return booked_month(
            month,
            self.now,
            self.closed_lines,
            self.disputes,
            self.published() if published is None else published,
            periods=self.periods,
            owners=self.owners,
            as_of=self.as_of,
            correction_threshold=self.threshold,
            reason_of=lambda provider, month: self.reasons.get((provider, month), "bill restated"),
        )

    def close(self, provider, month):
        """Closes the provider's month as it is booked now, and the month as a whole once every provider is closed."""
        booked = self.book(month)
        self._record(provider, month, booked.filter(pl.col("provider_name") == provider))
        is_whole = all(self.periods.is_closed(name, month) for name in booked["provider_name"].unique())
        if is_whole and not self.periods.is_sealed(month):
            self._record(ALL_OTHERS, month, booked.clear())

    def _record(self, provider, month, lines):
        last = self.periods.last(provider, month)
        number = (last.number if last else 0) + 1
        closed = closing_lines(lines, number=number, closed_at=AT)
        self.closed_lines = pl.concat([self.closed_lines, closed])
        self.all_closings.append(Closing(provider, month, number, AT, "test", lines.height, lines_sha256(closed)))

    def reopen(self, provider, month):
        """Reopens the closing in force; its lines stay stored and are no longer in force."""
        found = self.periods.in_force(provider, month)
        place = self.all_closings.index(found)
        self.all_closings[place] = found.reopened(at=AT, by="test", reason="for the test")
        is_of = (pl.col("provider_name") == provider) & (pl.col("month") == month.first_day)
        self.closed_lines = self.closed_lines.filter(~is_of)


def totals(lines, *keys, cost="allocated_cost"):
    """Exact sums by ``keys``; groups that add up to nothing are left out."""
    sums = defaultdict(Decimal)
    for row in lines.iter_rows(named=True):
        sums[tuple(row[key] for key in keys)] += row[cost]
    return {key: total for key, total in sums.items() if total}

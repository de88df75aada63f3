"""The chargeback: a month's bills as lines that owners pay, equal to the bills to the last minor unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.allocation.metering import Activity, Meter, Owner, meter_usage
from usage_etl.allocation.remainder import ATTOS, from_attos, round_half_even, round_shares, sum_shares, to_attos
from usage_etl.allocation.split import ExactLine, Pool, split_bills, split_estimates
from usage_etl.errors import ConservationError
from usage_etl.keys import fingerprint, sha256_hex
from usage_etl.money import minor_unit_digits
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.dimensions import names_on
from usage_etl.units import UNALLOCATED, UNEXPLAINED

_POOL = ("provider_name", "billing_account_id", "charge_category", "model_id", "billing_currency")
_SPECIAL_NAMES = {UNALLOCATED: "Unallocated", UNEXPLAINED: "Unexplained"}

Account = tuple[str, str | None, str]
"""(provider, billing account, currency): what one invoice amount belongs to. Account None holds estimates."""


def chargeback_month(
    charges: pl.LazyFrame | pl.DataFrame,
    usage: pl.LazyFrame | pl.DataFrame,
    teams: pl.DataFrame,
    *,
    month: Month,
    tolerance_pct: Decimal,
    period_status: str,
) -> pl.DataFrame:
    """One allocated line per row (mart_chargeback_monthly), from fact_charges_monthly, fact_usage_monthly and dim_team.

    **Who pays** is decided on exact fractions, per provider, billing account, charge category, model and currency
    (the rules are those of ``split.split_bills``; each line prints its own in ``allocation_rule``). Owners never pay
    more than their metered cost plus ``tolerance_pct``; the rest of a bill is the line ``unexplained``. A bill below
    metered cost is a discount, shared in proportion. Usage without owner carries its own weight: line ``unallocated``.
    A provider without any charge line gives lines of kind ``estimate`` at metered cost, apart from all billed lines.

    **Rounding** happens once: the exact month total of each (provider, account, currency) is rounded half-even to the
    minor unit, and all its lines together get exactly that amount by largest remainder, ties by a hash of the line id.

    Usage meets a bill by ``host == provider_name``. Where a provider has several billing accounts, usage does not say
    which one it belongs to: each account is split by the provider's whole usage, and ``requests_count``,
    ``total_tokens`` and ``metered_cost`` repeat on the lines of each. Currencies are never mixed: usage priced in
    another currency than the bill's has no weight in it. Requests and tokens stand on usage lines only, so that they
    add up to the usage behind one account's bill; ``metered_cost`` is the weight of the line's own split.

    Raises ConservationError when the lines of an account do not add up to its rounded bill.
    """
    pools = _pools(charges, month)
    meter = meter_usage(usage, month=month)
    lines = [*split_bills(pools, meter, tolerance_pct=tolerance_pct)]
    lines += split_estimates(meter, billed_hosts={pool.provider_name for pool in pools})
    by_account: dict[Account, list[ExactLine]] = defaultdict(list)
    for line in lines:
        by_account[line.pool.provider_name, line.pool.billing_account_id, line.pool.currency].append(line)
    behind = _Behind(meter, pools)
    rows = [row for group in by_account.values() for row in _round_account(group, behind, month, period_status)]
    frame = _with_names(_frame(rows), teams, month)
    _check_conserved(frame, pools, meter)
    return MART_CHARGEBACK_MONTHLY.validate(frame.sort(*MART_CHARGEBACK_MONTHLY.sort_by, nulls_last=False))


def _pools(charges: pl.LazyFrame | pl.DataFrame, month: Month) -> list[Pool]:
    grouped = (
        charges.lazy()
        .filter(pl.col("month") == month.first_day)
        .group_by(pl.col(*_POOL).cast(pl.String))
        .agg(pl.col("billed_cost").sum())
        .collect()
        .sort(*_POOL)
    )
    billed = to_attos(grouped["billed_cost"])
    keys = grouped.select(*_POOL).iter_rows()
    return [
        Pool(provider, account, category, model_id, currency, attos or 0)
        for (provider, account, category, model_id, currency), attos in zip(keys, billed, strict=True)
    ]


class _Behind:
    """Requests and tokens behind a usage line, so that over one account's bill each is counted once."""

    def __init__(self, meter: Meter, pools: Sequence[Pool]) -> None:
        self._meter = meter
        self._named: dict[str, set[str]] = defaultdict(set)
        for pool in pools:
            if pool.is_usage and pool.model_id is not None:
                self._named[pool.provider_name].add(pool.model_id)

    def activity(self, line: ExactLine) -> Activity:
        pool = line.pool
        if not pool.is_usage:
            return Activity(0, 0)
        models = [pool.model_id] if pool.model_id is not None else self._unnamed_models(pool.provider_name)
        found = [self._meter.activity.get((pool.provider_name, model_id), {}).get(line.owner) for model_id in models]
        return Activity(
            sum(activity.requests_count for activity in found if activity is not None),
            sum(activity.total_tokens for activity in found if activity is not None),
        )

    def _unnamed_models(self, provider_name: str) -> list[str]:
        return [model_id for model_id in self._meter.models(provider_name) if model_id not in self._named[provider_name]]


def _round_account(lines: Sequence[ExactLine], behind: _Behind, month: Month, period_status: str) -> list[dict[str, Any]]:
    currency = lines[0].pool.currency
    step = ATTOS // 10 ** minor_unit_digits(currency)
    line_ids = _LineIds(month)
    ids = [line_ids.of(line) for line in lines]
    shares = [(numerator, denominator * step) for numerator, denominator in (line.share for line in lines)]
    units = round_shares(shares, tie_keys=ids)
    rounding = _rounding_text(sum_shares(line.share for line in lines), currency)
    rows = []
    for line, line_id, whole in zip(lines, ids, units, strict=True):
        activity = behind.activity(line)
        rows.append(
            {
                "month": month.first_day,
                "line_id": line_id,
                "line_kind": line.line_kind,
                "charge_basis": line.charge_basis,
                "charge_category": line.pool.charge_category,
                "provider_name": line.pool.provider_name,
                "billing_account_id": line.pool.billing_account_id,
                "model_id": line.pool.model_id,
                "department_id": line.owner.department_id,
                "team_id": line.owner.team_id,
                "cost_center_id": line.owner.cost_center_id,
                "requests_count": activity.requests_count,
                "total_tokens": activity.total_tokens,
                "metered_cost": line.metered,
                "allocated_cost": whole * step,
                "billing_currency": currency,
                "allocation_rule": f"{line.rule}; {rounding}",
                "period_status": period_status,
            }
        )
    return rows


class _LineIds:
    """Stable ids of lines: a hash of the hashes of the pool and of the owner, which many lines share."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._pools: dict[tuple[Pool, str, str], str] = {}
        self._owners: dict[Owner, str] = {}

    def of(self, line: ExactLine) -> str:
        pool_key, owner = (line.pool, line.line_kind, line.charge_basis), line.owner
        if pool_key not in self._pools:
            pool = line.pool
            self._pools[pool_key] = fingerprint(
                {
                    "month": str(self._month),
                    "basis": line.charge_basis,
                    "kind": line.line_kind,
                    "category": pool.charge_category,
                    "provider": pool.provider_name,
                    "account": pool.billing_account_id,
                    "model": pool.model_id,
                    "currency": pool.currency,
                }
            )
        if owner not in self._owners:
            self._owners[owner] = fingerprint({"owner": [owner.department_id, owner.team_id, owner.cost_center_id]})
        return sha256_hex(f"{self._pools[pool_key]}{self._owners[owner]}".encode())[:32]


def _rounding_text(exact_attos: Fraction, currency: str) -> str:
    step = ATTOS // 10 ** minor_unit_digits(currency)
    units = exact_attos / step
    if units.denominator == 1:
        return "lines rounded by largest remainder"
    attos = from_attos([round_half_even(exact_attos), round_half_even(units) * step], "text")
    exact, whole = (format(amount.normalize(), "f") for amount in attos)
    return f"account total {exact} rounded half-even to {whole} {currency}, lines by largest remainder"


def _frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    schema = dict(MART_CHARGEBACK_MONTHLY.polars_schema)
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in schema}
    columns |= {name: from_attos(columns[name], name) for name in ("metered_cost", "allocated_cost")}
    return pl.DataFrame(columns, schema=schema)


def _with_names(frame: pl.DataFrame, teams: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Names of the month's last day, else the newest known; an id without any name stands for itself."""
    named = []
    for entity in ("department", "team", "cost_center"):
        id_column, name_column = f"{entity}_id", f"{entity}_name"
        names = names_on(teams, id_column=id_column, name_column=name_column, day=month.last_day) | _SPECIAL_NAMES
        named.append(pl.col(id_column).replace(names).alias(name_column))
    return frame.with_columns(named)


def _check_conserved(frame: pl.DataFrame, pools: Sequence[Pool], meter: Meter) -> None:
    """Added up again from the finished rows and from the bills as they came, in Python integers."""
    expected: dict[Account, int] = defaultdict(int)
    for pool in pools:
        expected[pool.provider_name, pool.billing_account_id, pool.currency] += pool.attos
    billed_hosts = {pool.provider_name for pool in pools}
    for (host, _, currency), weights in meter.by_model.items():
        if host not in billed_hosts:
            expected[host, None, currency] += sum(weights.values())
    found: dict[Account, int] = defaultdict(int)
    keys = frame.select("provider_name", "billing_account_id", "billing_currency").iter_rows()
    for key, attos in zip(keys, to_attos(frame["allocated_cost"]), strict=True):
        found[key] += attos or 0
    for account in expected.keys() | found.keys():
        step = ATTOS // 10 ** minor_unit_digits(account[2])
        rounded = round_half_even(Fraction(expected[account], step)) * step
        if rounded != found[account]:
            raise ConservationError(f"chargeback of {account}, in 1e-18", found[account], rounded)

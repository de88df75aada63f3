"""Pools of purchased tokens: what was bought, what is promised to users, what was taken, and what is left.

A purchase is a lot that lasts for its span, or one lot for each calendar month that it renews. The usage of a day takes from
the lot in force that ends first; what finds none is uncovered.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.quotas.accounts import allocations_on, main_teams
from usage_etl.schemas.quotas import MART_POOLS, POOL_SCOPES

PoolKey = tuple[str, str]
"""(pool_id, token_kind)."""
Scope = tuple[str, str]
"""(scope_kind, scope_id)."""
_NARROWEST_FIRST = tuple(reversed(POOL_SCOPES))


@dataclass
class _Lot:
    """Tokens that can be taken from ``start`` up to, not including, ``end``."""

    purchase_id: str
    start: dt.date
    end: dt.date
    tokens: int
    taken: int = 0

    def is_in_force(self, day: dt.date) -> bool:
        return self.start <= day < self.end


@dataclass(frozen=True)
class _Purchase:
    purchase_id: str
    tokens: int
    renewal: str
    start: dt.date
    end: dt.date | None

    def is_in_force(self, day: dt.date) -> bool:
        return self.start <= day and (self.end is None or day < self.end)

    def lots(self, through: dt.date) -> Iterator[_Lot]:
        """Lots that have begun by ``through``."""
        end = self.end or dt.date.max
        if self.renewal == "once":
            if self.start <= through:
                yield _Lot(self.purchase_id, self.start, end, self.tokens)
            return
        month = Month.of(self.start)
        while month.first_day < end and max(month.first_day, self.start) <= through:
            yield _Lot(self.purchase_id, max(month.first_day, self.start), min(month.end, end), self.tokens)
            month = month.next

    def monthly(self) -> Fraction:
        """Tokens of a month: by the calendar months that the span touches where they come once, whole where it is open."""
        if self.renewal != "once" or self.end is None:
            return Fraction(self.tokens)
        first, last = Month.of(self.start), Month.of(self.end - dt.timedelta(days=1))
        return Fraction(self.tokens, (last.year - first.year) * 12 + last.number - first.number + 1)


def pools_month(
    entitlements: pl.DataFrame,
    usage: pl.DataFrame,
    users: pl.DataFrame,
    teams: pl.DataFrame,
    quotas: pl.DataFrame,
    *,
    organization_id: str,
    month: Month,
    through_date: dt.date,
    history_floor: dt.date | None,
) -> pl.DataFrame:
    """One (pool, token kind) with a purchase in force on ``through_date`` per row (mart_pools).

    ``entitlements`` is dim_entitlement, ``usage`` fact_team_tokens_daily of every month up to ``month``, ``users`` dim_user,
    ``teams`` dim_team and ``quotas`` dim_quota. ``history_floor`` is the first day that the lake holds usage of: what was taken
    of a purchase before it is not known, and not counted.
    """
    through = min(through_date, month.last_day)
    scopes = _scopes(entitlements, through)
    taken = _daily_by_pool(usage, scopes, organization_id, through)
    served = _Served(scopes, main_teams(users, through), _main_departments(teams, through), organization_id)
    assigned = served.assigned(allocations_on(quotas, through))
    is_known = history_floor is not None and history_floor <= through
    rows = []
    for key, purchases in sorted(_purchases(entitlements).items()):
        if key in scopes:
            scope_kind, scope_id = scopes[key]
            names = {"pool_id": key[0], "scope_kind": scope_kind, "scope_id": scope_id, "token_kind": key[1]}
            figures = _figures(purchases, taken.get(key, {}), assigned.get(key, 0), month=month, through=through)
            unknown = {} if is_known else dict.fromkeys(("used_tokens", "remaining_tokens", "uncovered_tokens"))
            rows.append({"month": month.first_day, "through_date": through, **names, **figures, **unknown})
    return MART_POOLS.validate(pl.DataFrame(rows, schema=MART_POOLS.polars_schema, orient="row").sort(*MART_POOLS.sort_by))


def _figures(
    purchases: Sequence[_Purchase], days: Mapping[dt.date, int], assigned: int, *, month: Month, through: dt.date
) -> dict[str, int | bool | dt.date | None]:
    lots = [lot for purchase in purchases for lot in purchase.lots(through)]
    uncovered = _drawn(lots, days)
    standing = [lot for lot in lots if lot.is_in_force(through)]
    monthly = sum((one.monthly() for one in purchases if one.is_in_force(through)), Fraction(0))
    purchased, used = sum(lot.tokens for lot in standing), sum(lot.taken for lot in standing)
    return {
        "purchased_tokens": purchased,
        "purchased_monthly_tokens": monthly.numerator // monthly.denominator,
        "assigned_tokens": assigned,
        "is_over_assigned": assigned > monthly,
        "used_tokens": used,
        "remaining_tokens": purchased - used,
        "uncovered_tokens": sum(tokens for day, tokens in uncovered.items() if day >= month.first_day),
        "lapse_date": None if (lapse := max(lot.end for lot in standing)) == dt.date.max else lapse,
    }


def pool_stocks(pools: pl.DataFrame, drawn: pl.DataFrame, *, settled_date: dt.date) -> pl.DataFrame:
    """One pool whose rest is known per row: stock_id, series_id and remaining_quantity at the end of ``settled_date``.

    ``pools`` is mart_pools of a month, ``drawn`` what ``pool_usage`` says. Usage after ``settled_date`` is still coming in.
    """
    keys = ["pool_id", "token_kind"]
    since = drawn.filter(pl.col("usage_date") > settled_date).group_by(*keys).agg(since_tokens=pl.col("total_tokens").sum())
    return (
        pools.drop_nulls("remaining_tokens")
        .join(since, on=keys, how="left", validate="1:1")
        .select(
            stock_id=_series_id(),
            series_id=_series_id(),
            remaining_quantity=pl.col("remaining_tokens") + pl.col("since_tokens").fill_null(0),
        )
    )


def pool_series(drawn: pl.DataFrame) -> pl.DataFrame:
    """What ``pool_usage`` says as series: series_id, usage_date and quantity."""
    return drawn.select("usage_date", series_id=_series_id(), quantity=pl.col("total_tokens").cast(MONEY))


def with_runway(pools: pl.DataFrame, runways: pl.DataFrame) -> pl.DataFrame:
    """``pools`` with the dates of ``runways`` (stock_id as ``pool_stocks`` gives it), as far as they come before the lapse."""
    dates = ("runway_date", "runway_lower_date", "runway_upper_date")
    lapse = pl.col("lapse_date")
    told = [pl.when(lapse.is_null() | (pl.col(name) < lapse)).then(name).alias(name) for name in dates]
    joined = pools.drop(dates).with_columns(stock_id=_series_id()).join(runways, on="stock_id", how="left", validate="1:1")
    return MART_POOLS.validate(joined.with_columns(told).select(pools.columns))


def _series_id() -> pl.Expr:
    """The token kind leads: it holds no slash, so no two pools are one."""
    return pl.concat_str("token_kind", pl.lit("/"), "pool_id")


def pool_usage(entitlements: pl.DataFrame, usage: pl.DataFrame, *, organization_id: str, through_date: dt.date) -> pl.DataFrame:
    """One (pool_id, token_kind, usage_date): tokens that the pool's scope used, up to ``through_date``."""
    scopes = _scopes(entitlements, through_date)
    taken = _daily_by_pool(usage, scopes, organization_id, through_date)
    rows = [(pool, kind, day, tokens) for (pool, kind), days in sorted(taken.items()) for day, tokens in sorted(days.items())]
    schema = {"pool_id": pl.String, "token_kind": pl.String, "usage_date": pl.Date, "total_tokens": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _drawn(lots: Sequence[_Lot], days: Mapping[dt.date, int]) -> dict[dt.date, int]:
    """Takes each day's tokens from ``lots``, which remember it; returns by day what none had left for."""
    uncovered: dict[dt.date, int] = {}
    ordered = sorted(lots, key=lambda lot: (lot.end, lot.start, lot.purchase_id))
    for day, tokens in sorted(days.items()):
        rest = tokens
        for lot in ordered:
            if rest and lot.is_in_force(day):
                part = min(rest, lot.tokens - lot.taken)
                lot.taken += part
                rest -= part
        if rest:
            uncovered[day] = rest
    return uncovered


def _purchases(entitlements: pl.DataFrame) -> dict[PoolKey, list[_Purchase]]:
    found: dict[PoolKey, list[_Purchase]] = defaultdict(list)
    columns = ("pool_id", "token_kind", "purchase_id", "purchased_tokens", "renewal", "valid_from", "valid_to")
    for pool, kind, *cells in entitlements.select(columns).iter_rows():
        found[pool, kind].append(_Purchase(*cells))
    return found


def _scopes(entitlements: pl.DataFrame, day: dt.date) -> dict[PoolKey, Scope]:
    """Whom each pool serves that has a purchase in force on ``day``."""
    in_force = entitlements.filter(pl.col("valid_from") <= day, pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    return {(pool, kind): (scope, member) for pool, kind, scope, member in in_force.select(
        "pool_id", "token_kind", "scope_kind", "scope_id"
    ).iter_rows()}  # fmt: skip


def _pool_of(places: Mapping[Scope, str], *, organization: str, department: str | None, team: str | None) -> str | None:
    """The pool of the narrowest scope that has one."""
    members = {"organization": organization, "department": department, "team": team}
    for kind in _NARROWEST_FIRST:
        member = members[kind]
        if member is not None and (kind, member) in places:
            return places[kind, member]
    return None


def _places(scopes: Mapping[PoolKey, Scope], token_kind: str) -> dict[Scope, str]:
    return {scope: pool for (pool, kind), scope in scopes.items() if kind == token_kind}


def _daily_by_pool(
    usage: pl.DataFrame, scopes: Mapping[PoolKey, Scope], organization_id: str, through: dt.date
) -> dict[PoolKey, dict[dt.date, int]]:
    found: dict[PoolKey, dict[dt.date, int]] = defaultdict(lambda: defaultdict(int))
    kinds = {kind for _, kind in scopes}
    places = {kind: _places(scopes, kind) for kind in kinds}
    wanted = usage.filter(pl.col("usage_date") <= through, pl.col("token_kind").is_in(sorted(kinds)))
    columns = ("usage_date", "department_id", "team_id", "token_kind", "total_tokens")
    for day, department, team, kind, tokens in wanted.select(columns).iter_rows():
        pool = _pool_of(places[kind], organization=organization_id, department=department, team=team)
        if pool is not None:
            found[pool, kind][day] += tokens
    return found


@dataclass(frozen=True)
class _Served:
    """Which pool serves a user: by the main team of dim_user and the main department of that team."""

    scopes: Mapping[PoolKey, Scope]
    main_teams: pl.DataFrame
    departments: Mapping[str, str]
    organization_id: str

    def assigned(self, allocations: pl.DataFrame) -> dict[PoolKey, int]:
        """Monthly allocations of the users that each pool serves."""
        place = dict(self.main_teams.select("user_id", "team_id").iter_rows())
        found: dict[PoolKey, int] = defaultdict(int)
        for kind in {kind for _, kind in self.scopes}:
            places = _places(self.scopes, kind)
            for user, tokens in allocations.select("user_id", f"max_{kind}_tokens").iter_rows():
                team = place.get(user, "")
                pool = _pool_of(places, organization=self.organization_id, department=self.departments.get(team), team=team)
                if pool is not None and tokens is not None:
                    found[pool, kind] += tokens
        return found


def _main_departments(teams: pl.DataFrame, day: dt.date) -> dict[str, str]:
    in_force = teams.filter(pl.col("valid_from") <= day, pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    ranked = in_force.sort(pl.col("split_pct").fill_null(100), "cost_center_id", "department_id", descending=[True, False, False])
    return dict(ranked.unique("team_id", keep="first", maintain_order=True).select("team_id", "department_id").iter_rows())

"""Seats that nobody uses, and capacity that costs more than what it serves: charge lines beside use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.recommendations.estimates import ROW_SAVINGS, Estimate, exactly
from usage_etl.recommendations.traffic import Case

_RARELY_DAYS = 2
"""A seat used on no more days than this is under-used: part of the high end."""
NO_ROWS = pl.DataFrame(schema={ROW_SAVINGS[0]: pl.UInt32(), ROW_SAVINGS[1]: MONEY})


@dataclass(frozen=True)
class _Biller:
    """Who bills to which account, for which model where the lines name one."""

    provider: str
    account: str
    model: str | None = None

    def case(self, kind: str, difficulty: str, measures: Mapping[str, str] = {}, *, whole: int = 0, part: int = 0) -> Case:
        """An advice to who answers for the account."""
        return Case(
            recommendation_kind=kind,
            scope_kind="provider",
            scope_id=f"{self.provider}/{self.account}",
            feature_id=None,
            model_id=f"{self.provider}/{self.model}" if self.model else None,
            target_model_id=None,
            target_processing=None,
            difficulty=difficulty,
            basis="charges",
            choice=f"charges:{kind}:{self.provider}:{self.account}:{self.model}",
            whole_count=whole,
            part_count=part,
            measures=measures,
        )


@dataclass(frozen=True)
class SeatUse:
    """Seats of one provider and account in a month's charge lines, and how many of them were used."""

    seats_count: int
    idle_count: int
    long_idle_count: int
    """Idle in the month before too."""
    rarely_count: int
    """Used on one or two days."""
    seats_cost: Decimal
    idle_cost: Decimal
    long_idle_cost: Decimal
    rarely_cost: Decimal
    lines_count: int


def seat_advice(lines: pl.DataFrame, activity: pl.DataFrame, *, currency: str) -> Iterator[Estimate]:
    """One estimate per provider and account that bills seats of which some were idle.

    ``lines`` are FACT_INVOICE_LINES_MONTHLY of the month. ``activity`` has user_id, person (a name of that user), host,
    source_account, is_before (of the month before) and days_count. Where no holder of a seat is ever seen at the provider, use
    is not recorded: nothing is said.
    """
    for (provider, account), group in _seats(lines, currency).group_by(
        "provider_name", "billing_account_id", maintain_order=True
    ):
        use = seat_use(group, activity_at(activity, str(provider), str(account)))
        if use is not None and use.idle_count:
            yield _seat_estimate(_Biller(str(provider), str(account)), use)


def _seats(lines: pl.DataFrame, currency: str) -> pl.DataFrame:
    is_seat = (pl.col("charge_kind") == "seat") & (pl.col("billing_currency") == currency) & (pl.col("effective_cost") > 0)
    return lines.filter(is_seat)


def activity_at(activity: pl.DataFrame, provider: str, account: str) -> pl.DataFrame:
    """Days of use at the provider that bills: by the name of the host (github, github-copilot) or by the account."""
    return activity.filter(
        (pl.col("host") == provider) | pl.col("host").str.starts_with(f"{provider}-") | (pl.col("source_account") == account)
    )


def seat_use(lines: pl.DataFrame, used: pl.DataFrame) -> SeatUse | None:
    """How the seats of ``lines`` were used; None where use cannot be told.

    Lines that name their user are compared person by person; a bare number of seats with the number of people seen.
    """
    now, before = (used.filter(pl.col("is_before") == is_before) for is_before in (False, True))
    days = dict(now.group_by("person").agg(pl.col("days_count").sum()).iter_rows())
    earlier = set(before["person"])
    if not days:
        return None
    named, bare = lines.drop_nulls("user_id"), lines.filter(pl.col("user_id").is_null())
    people = [str(person).lower() for person in named["user_id"]]
    if named.height and not set(people) & set(days):
        return None
    seats = list(zip(people, named["effective_cost"], strict=True))
    idle = [cost for person, cost in seats if person not in days]
    long_idle = [cost for person, cost in seats if person not in days and (earlier and person not in earlier)]
    rarely = [cost for person, cost in seats if 0 < days.get(person, 0) <= _RARELY_DAYS]
    bare_cost, bare_count = Decimal(bare["effective_cost"].sum() or 0), int(bare["consumed_quantity"].sum() or 0)
    seated = now.filter(pl.col("person").is_in(people))["user_id"].n_unique()
    spare = max(0, bare_count - (now["user_id"].n_unique() - seated))
    spare_cost = exactly(bare_cost, spare, bare_count) if bare_count else Decimal(0)
    return SeatUse(
        seats_count=len(seats) + bare_count,
        idle_count=len(idle) + spare,
        long_idle_count=len(long_idle),
        rarely_count=len(rarely),
        seats_cost=sum((cost for _, cost in seats), Decimal(0)) + bare_cost,
        idle_cost=sum(idle, Decimal(0)) + spare_cost,
        long_idle_cost=sum(long_idle, Decimal(0)),
        rarely_cost=sum(rarely, Decimal(0)),
        lines_count=lines.height,
    )


def _seat_estimate(biller: _Biller, use: SeatUse) -> Estimate:
    certain = use.long_idle_cost or exactly(use.idle_cost, Decimal("0.5"))
    said = {"seats": use.seats_count, "idle": use.idle_count, "rarely": use.rarely_count}
    measures = {name: str(number) for name, number in said.items()}
    case = biller.case("idle_seats", "low", measures, whole=use.seats_count, part=use.seats_count - use.idle_count)
    bounds = (certain, use.idle_cost + use.rarely_cost)
    return _of_charges(case, use.seats_cost, use.idle_cost, bounds, counts=(use.lines_count, use.seats_count))


def capacity_advice(lines: pl.DataFrame, served: pl.DataFrame, *, currency: str) -> Iterator[Estimate]:
    """One estimate per commitment that is billed as unused, and per capacity that costs more than its tokens would by use.

    ``served`` has host, model_id and served_cost: priced usage of the month at the price of use. Capacity of a host that no
    log shows is not judged.
    """
    billed = lines.filter(pl.col("billing_currency") == currency)
    unused = billed.filter(pl.col("commitment_discount_status") == "Unused")
    for (provider, account), group in unused.group_by("provider_name", "billing_account_id", maintain_order=True):
        whole = billed.filter(
            (pl.col("provider_name") == provider)
            & pl.col("commitment_discount_id").is_in(group["commitment_discount_id"].implode())
        )
        cost, idle = Decimal(whole["effective_cost"].sum()), Decimal(group["effective_cost"].sum())
        if idle > 0:
            case = _Biller(str(provider), str(account)).case("unused_commitment", "high")
            yield _of_charges(case, cost, idle, (idle, idle), counts=(group.height, 0))
    capacity = billed.filter(pl.col("charge_kind") == "capacity")
    key = ("provider_name", "billing_account_id", "model_id")
    for (provider, account, model), group in capacity.group_by(*key, maintain_order=True):
        biller = _Biller(str(provider), str(account), None if model is None else str(model))
        yield from _capacity(biller, group, billed, served)


def _capacity(biller: _Biller, group: pl.DataFrame, billed: pl.DataFrame, served: pl.DataFrame) -> Iterator[Estimate]:
    """The low end takes all priced usage as served by the capacity; the high end without what is billed by use beside it."""
    at_host = served.filter(pl.col("host") == biller.provider)
    if at_host.is_empty():
        return
    is_model = pl.col("model_id") == biller.model if biller.model else pl.lit(value=True)
    worth = Decimal(at_host.filter(is_model)["served_cost"].sum() or 0)
    by_use = billed.filter(
        (pl.col("provider_name") == biller.provider)
        & (pl.col("billing_account_id") == biller.account)
        & (pl.col("charge_kind") == "usage")
        & is_model
    )
    beside = max(Decimal(0), worth - Decimal(by_use["effective_cost"].sum() or 0))
    cost = Decimal(group["effective_cost"].sum())
    if cost > worth:
        case = biller.case("unused_capacity", "high")
        yield _of_charges(case, cost, cost - worth, (cost - worth, cost - beside), counts=(group.height, 0))


def _of_charges(
    case: Case, cost: Decimal, savings: Decimal, bounds: tuple[Decimal, Decimal], *, counts: tuple[int, int]
) -> Estimate:
    lower, upper = bounds
    return Estimate(
        case=case,
        window_cost=cost,
        window_target_cost=cost - savings,
        lower_savings=min(lower, savings),
        upper_savings=max(upper, savings),
        rows_count=counts[0],
        requests_count=counts[1],
        left_out_requests_count=0,
        team_id=None,
        price_ids=None,
        target_price_ids=None,
        row_savings=NO_ROWS,
        active_days_count=0,
    )

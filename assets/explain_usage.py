"""The weight's side of a chargeback line: the owner's share of the usage, its facts by day, and the events behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from assets.allocation import OWNER_TABLES
from assets.derive import day_keys
from assets.explain_files import Files
from assets.explained import Deliveries, Event, Findings, Usage, UsageDay
from assets.resources import Workspace
from usage_etl.allocation.owners import OWNER_COLUMNS, Owner, OwnerDirectories
from usage_etl.allocation.rates import Rates
from usage_etl.allocation.rules import Rule, levels_of, rules_of
from usage_etl.allocation.usage_rows import UsageRows
from usage_etl.allocation.usage_weights import ALL_PROVIDERS, UsageWeights
from usage_etl.lake import WHOLE
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS
from usage_etl.schemas import DIM_FX_RATE, FACT_DELIVERIES_DAILY, FACT_USAGE_DAILY, USAGE_EVENTS
from usage_etl.schemas.usage import USAGE_DIMENSIONS
from usage_etl.units import TOKEN_CLASSES

_ROW = "row"
_SHOWN_DELIVERY_DAYS = 31


@dataclass(frozen=True)
class Scope:
    """Whose usage counts, and by which measure."""

    measure: str
    """cost, tokens, requests or users; empty where the rule asks no usage."""
    host: str
    model_id: str | None
    words: str

    @classmethod
    def of(cls, line: Mapping[str, Any], rule: Rule | None) -> "Scope":
        """Scope of a line, read from its rule and from what the line itself says of how its amount was found."""
        text, host, model_id = str(line["allocation_rule"]), str(line["provider_name"]), line["model_id"]
        steps = (*rule.steps, *rule.fallback) if rule else ()
        measure = next((step.weight for step in steps if step.method in ("usage", "proportional")), "")
        if line["metered_cost"] is not None:
            measure = "cost"
        if "all providers'" in text:
            return cls(measure, ALL_PROVIDERS, None, "all providers")
        if model_id is None or "the provider's" in text:
            return cls(measure, host, None, f"all models at {host}")
        return cls(measure, host, model_id, f"{model_id} at {host}")


def explain_usage(workspace: Workspace, line: Mapping[str, Any], *, files: Files, findings: Findings, top: int) -> Usage | None:
    """The owner's weight and usage in the line's month, with the ``top`` most expensive events; None where no usage counts.

    Faults are noted where the facts do not add up to the weight that the line says.
    """
    if line["line_kind"] in ("rounding", "dispute") or line["corrects_month"] is not None:
        return None
    month, allocation = Month.of(line["month"]), workspace.settings.allocation
    rule = next((rule for rule in rules_of(allocation, month) if rule.name == line["rule_name"]), None)
    scope, owner = Scope.of(line, rule), Owner(*(line[name] for name in OWNER_COLUMNS))
    facts = _facts(workspace, month, scope)
    directories = OwnerDirectories(
        **{name: workspace.lake.scan(table, [WHOLE]).collect() for name, table in OWNER_TABLES.items()}
    )
    detail = levels_of(allocation.rules, allocation.detail, month)
    own, total = _weights(workspace, line, facts, directories, scope=scope, owner=owner, detail=detail, findings=findings)
    if line["line_kind"] == "unexplained":  # nobody used it: what all owners used is what it lies above
        own, owned = None, facts.with_columns(numerator=pl.lit("1"), denominator=pl.lit("1"))
    else:
        owned = _owned_facts(facts, directories, owner, month=month, detail=detail)
    days = _days(workspace, owned)
    if own is not None and scope.measure == "cost":
        _check_days(days, own, line["billing_currency"], findings)
    events_kept = bool(workspace.lake.partitions(USAGE_EVENTS))
    events = _events_behind(workspace, owned) if events_kept else None
    if not events_kept:
        findings.note("events are not kept (keep_usage_events is false); the deliveries of the owner's days follow instead")
    return Usage(
        measure=scope.measure,
        scope=scope.words,
        own=own,
        all=total,
        days=days,
        facts_count=owned.height,
        events_kept=events_kept,
        events_count=None if events is None else events.height,
        events=() if events is None else _largest(events, files, top),
        deliveries=() if events_kept else _deliveries(workspace, owned, files),
    )


def _facts(workspace: Workspace, month: Month, scope: Scope) -> pl.DataFrame:
    """The month's daily facts in the scope, each with a number."""
    rows = workspace.lake.scan(FACT_USAGE_DAILY, day_keys(month.first_day.isoformat()))
    if scope.host != ALL_PROVIDERS:
        rows = rows.filter(pl.col("host") == scope.host)
    if scope.model_id is not None:
        rows = rows.filter(pl.col("model_id") == scope.model_id)
    return rows.collect().with_row_index(_ROW)


def _weights(
    workspace: Workspace,
    line: Mapping[str, Any],
    facts: pl.DataFrame,
    directories: OwnerDirectories,
    *,
    scope: Scope,
    owner: Owner,
    detail: Sequence[str],
    findings: Findings,
) -> tuple[Fraction | None, Fraction | None]:
    """The owner's weight and that of all owners, as the allocation counts them."""
    settings, month = workspace.settings, Month.of(line["month"])
    rates = Rates(workspace.lake.scan(DIM_FX_RATE, [WHOLE]).collect(), max_age_days=settings.allocation.fx_max_age_days)
    through, rows = settings.organization.currency, UsageRows(facts.lazy(), directories, month=month, detail=detail)
    weights = UsageWeights(rows, converted=lambda given, wanted: rates.factor(given, wanted, month.last_day, through=through))
    number = weights.owners.number(owner)
    if scope.measure == "users":
        pairs = weights.users(scope.host, scope.model_id)
        return Fraction(sum(one == number for one, _ in pairs)), Fraction(len(pairs))
    if not scope.measure:
        findings.note(f"rule {line['rule_name']} does not weigh usage; what the owner used is shown all the same")
        return None, None
    if scope.measure != "cost":
        found = weights.counts(scope.host, scope.model_id, scope.measure)
    elif line["line_kind"] == "estimate":
        priced_in = line["invoice_currency"] or line["billing_currency"]
        factor = rates.factor(priced_in, line["billing_currency"], month.last_day, through=through) or Fraction(1)
        found = weights.own_costs(scope.host, str(scope.model_id), priced_in).times(factor)
    else:
        found = weights.costs(scope.host, scope.model_id, line["billing_currency"])
    own = Fraction(dict(zip(found.owners, found.weights, strict=True)).get(number, 0), found.scale)
    if line["metered_cost"] is not None and line["line_kind"] != "unexplained":
        stated = Fraction(line["metered_cost"]) * ATTOS
        if abs(own - stated) >= 1:  # parts of one atto are rounded by largest remainder
            findings.faults.append(f"metered_cost of the line is {stated} attos, its facts add up to {own}")
    return own, Fraction(found.total, found.scale)


def _owned_facts(
    facts: pl.DataFrame, directories: OwnerDirectories, owner: Owner, *, month: Month, detail: Sequence[str]
) -> pl.DataFrame:
    """The facts of which the owner has a part, with the part as ``numerator`` and ``denominator``.

    The division of members is that of the allocation; each fact's number goes through it in place of its tags.
    """
    numbered = facts.lazy().with_columns(tag_set=pl.col(_ROW).cast(pl.String))
    summed, parts = UsageRows(numbered, directories, month=month, detail=detail).tagged("")
    is_owner = (pl.col(name).eq_missing(pl.lit(member, pl.String)) for name, member in zip(OWNER_COLUMNS, owner, strict=True))
    mine = summed.filter(*is_owner).select(pl.col("tag_set").cast(pl.UInt32).alias(_ROW), "part")
    shares = [parts[part] for part in mine["part"]]
    columns = {name: [str(getattr(share, name)) for share in shares] for name in ("numerator", "denominator")}
    return facts.join(mine.with_columns(pl.Series(name, texts, dtype=pl.String) for name, texts in columns.items()), on=_ROW)


def _share(row: Mapping[str, Any]) -> Fraction:
    return Fraction(int(row["numerator"]), int(row["denominator"]))


def _days(workspace: Workspace, owned: pl.DataFrame) -> tuple[UsageDay, ...]:
    """The owner's part by day and currency, exact."""
    found = []
    for (day, currency), group in owned.sort("usage_date", "currency", _ROW).group_by(
        "usage_date", "currency", maintain_order=True
    ):
        head = workspace.lake.head(FACT_USAGE_DAILY, str(day))
        costs = [
            Fraction(row["effective_cost"]) * _share(row)
            for row in group.iter_rows(named=True)
            if row["effective_cost"] is not None
        ]
        found.append(
            UsageDay(
                usage_date=day,
                rows_count=group.height,
                requests_count=sum(group["requests_count"].to_list()),
                total_tokens=sum(sum(group[name].to_list()) for name in TOKEN_CLASSES),
                effective_cost=sum(costs, Fraction(0)) if costs else None,
                currency=currency,
                table_version=head.sha256 if head else "absent",
            )
        )
    return tuple(found)


def _check_days(days: Sequence[UsageDay], own: Fraction, currency: str, findings: Findings) -> None:
    """The days, which were divided fact by fact, add up to the weight, which was divided in groups."""
    if {day.currency for day in days} <= {currency, None}:  # converted ones add up only by the rates of the month
        costs = sum((day.effective_cost for day in days if day.effective_cost is not None), Fraction(0))
        findings.check("metered cost of the owner's days", costs * ATTOS, own)


def _events_behind(workspace: Workspace, owned: pl.DataFrame) -> pl.DataFrame:
    """Events that the facts sum: those that agree with one of them in day and every dimension."""
    keys = ["usage_date", *USAGE_DIMENSIONS]
    days = sorted({day.isoformat() for day in owned["usage_date"]})
    facts = owned.select(keys).unique().lazy()
    return workspace.lake.scan(USAGE_EVENTS, days).join(facts, on=keys, how="semi", nulls_equal=True).collect(engine="streaming")


def _largest(events: pl.DataFrame, files: Files, top: int) -> tuple[Event, ...]:
    order = ("effective_cost", "started_at", "event_id")
    rows = events.sort(order, descending=[True, False, False], nulls_last=True).head(top)
    rows = rows.with_columns(pl.col(pl.Categorical).cast(pl.String))
    records = files.records(zip(rows["delivery_id"], rows["raw_ordinal"], strict=True))
    return tuple(
        Event(
            event_id=row["event_id"],
            started_at=row["started_at"],
            model_id=row["model_id"],
            user_id=row["user_id"],
            effective_cost=None if row["effective_cost"] is None else Decimal(row["effective_cost"]),
            currency=row["currency"],
            file=files.of(row["delivery_id"]),
            record=records[row["delivery_id"], row["raw_ordinal"]],
        )
        for row in rows.iter_rows(named=True)
    )


def _deliveries(workspace: Workspace, owned: pl.DataFrame, files: Files) -> tuple[Deliveries, ...]:
    """Deliveries of the owner's sources whose rows count on the owner's days."""
    pairs = owned.select("usage_date", pl.col("source").cast(pl.String)).unique().sort("usage_date", "source")
    days = sorted({day.isoformat() for day in pairs["usage_date"]})[:_SHOWN_DELIVERY_DAYS]
    rows = workspace.lake.scan(FACT_DELIVERIES_DAILY, days).filter(pl.col("loaded_count") > 0)
    found = rows.join(pairs.lazy(), on=["usage_date", "source"], how="semi").sort("usage_date", "source", "delivery_id").collect()
    return tuple(
        Deliveries(row["usage_date"], row["loaded_count"], files.of(row["delivery_id"])) for row in found.iter_rows(named=True)
    )

"""The tie-out: what a provider billed for usage beside what the logs say, model by model, each difference with its cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import polars as pl

from usage_etl.allocation.metering import Meter, meter_usage
from usage_etl.allocation.remainder import ATTOS, from_attos, round_half_even, round_shares, to_attos
from usage_etl.money import minor_unit_digits
from usage_etl.periods import Month
from usage_etl.schemas.tie_out import MART_RECONCILIATION_MONTHLY

_KEYS = ("provider_name", "billing_account_id", "model_id", "billing_currency")

Key = tuple[str, str | None, str | None, str]
"""(provider, account, model, currency): one row."""


@dataclass
class _Row:
    """Amounts in attos; None is absent, never zero."""

    billed: int | None = None
    priced: int | None = None
    reported: int | None = None
    is_used: bool = False

    def add_priced(self, attos: int | None) -> None:
        self.priced = self.priced if attos is None else (self.priced or 0) + attos

    def add_reported(self, attos: int) -> None:
        self.reported = (self.reported or 0) + attos


def reconcile_month(
    charges: pl.LazyFrame | pl.DataFrame,
    usage: pl.LazyFrame | pl.DataFrame,
    provider_usage: pl.LazyFrame | pl.DataFrame,
    *,
    month: Month,
    tolerance_pct: Decimal,
    organization_currency: str,
) -> pl.DataFrame:
    """One (provider, account, model, currency) per row (mart_reconciliation_monthly): billed beside priced.

    ``charges`` is fact_charges_monthly (category Usage counts here), ``usage`` is fact_usage_monthly and
    ``provider_usage`` the provider's own usage report at our prices, which are in ``organization_currency``:
    provider, account, model_id, effective_cost. It may be empty.

    Every priced amount stands in exactly one row, so the columns may be added up per currency. Usage of models that no
    charge of the provider names is compared with its charges that name no model, where there are any; else such a model
    has a row of its own, billed 0. Where a provider has several accounts, priced usage is divided among them in
    proportion to what they billed, because logs do not name the account. Usage without any usage charge of the provider
    in its currency has no account and no billed cost: ``no_bill_yet``.

    ``matched`` means equal when rounded to the minor unit; ``within_tolerance`` is measured against the priced cost.
    """
    bills = _Bills(_billed(charges, month))
    rows: defaultdict[Key, _Row] = defaultdict(_Row)
    for key, attos in bills.billed.items():
        rows[key].billed = attos
    used: set[tuple[str, str | None]] = set()
    for key, priced in _priced(meter_usage(usage, month=month), bills, organization_currency):
        used.add((key[0], key[2]))
        rows[key].add_priced(priced)
    for key, reported in _reported(provider_usage, bills, organization_currency):
        rows[key].add_reported(reported)
    for key, row in rows.items():
        row.is_used = (key[0], key[2]) in used
        if row.billed is None and key[1] is not None:  # the bill has arrived and does not name this model
            row.billed = 0
    return _frame(rows, month, Fraction(tolerance_pct) / 100)


@dataclass
class _Bills:
    """The month's usage charges, and the row of them that a model's usage belongs to."""

    billed: dict[Key, int]
    _models: defaultdict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for provider, _, model_id, _ in self.billed:
            self._models[provider].add(model_id)

    def row_model(self, provider: str, model_id: str | None) -> str | None:
        """The model itself, or None when it is billed under charges that name no model."""
        models = self._models[provider]
        return None if None in models and model_id not in models else model_id

    def accounts(self, provider: str, row_model: str | None, currency: str) -> dict[str, int]:
        """Accounts that can have billed the row, each with what it billed (without sign)."""
        found: dict[str, int] = defaultdict(int)
        is_named = row_model in self._models[provider]
        for (known_provider, account, model_id, known_currency), attos in self.billed.items():
            fits = (known_provider, known_currency) == (provider, currency) and (model_id == row_model or not is_named)
            if fits and account is not None:
                found[account] += abs(attos)
        return found


def _billed(charges: pl.LazyFrame | pl.DataFrame, month: Month) -> dict[Key, int]:
    grouped = (
        charges.lazy()
        .filter((pl.col("month") == month.first_day) & (pl.col("charge_category").cast(pl.String) == "Usage"))
        .group_by(pl.col(*_KEYS).cast(pl.String))
        .agg(pl.col("billed_cost").sum())
        .collect()
        .sort(*_KEYS)
    )
    keys = grouped.select(*_KEYS).iter_rows()
    return {key: attos or 0 for key, attos in zip(keys, to_attos(grouped["billed_cost"]), strict=True)}


def _priced(meter: Meter, bills: _Bills, organization_currency: str) -> Iterator[tuple[Key, int | None]]:
    """Metered cost by row; None for usage without a price, which is shown all the same."""
    for host, model_id in sorted(meter.activity):
        row_model = bills.row_model(host, model_id)
        costs: Mapping[str, int | None] = meter.model_costs(host, model_id) or {organization_currency: None}
        for currency, cost in costs.items():
            accounts = bills.accounts(host, row_model, currency)
            if not accounts:
                yield (host, None, row_model, currency), cost
            else:
                names = sorted(accounts)
                parts = _divided(cost, [accounts[name] for name in names], names)
                yield from (((host, name, row_model, currency), part) for name, part in zip(names, parts, strict=True))


def _divided(cost: int | None, billed: list[int], names: list[str]) -> list[int] | list[None]:
    """``cost`` over accounts by what each billed, exact to the last stored digit."""
    if cost is None:
        return [None] * len(names)
    weights = billed if any(billed) else [1] * len(billed)
    return round_shares([(cost * weight, sum(weights)) for weight in weights], tie_keys=names)


def _reported(
    provider_usage: pl.LazyFrame | pl.DataFrame, bills: _Bills, organization_currency: str
) -> Iterator[tuple[Key, int]]:
    keys = ("provider", "account", "model_id")
    grouped = (
        provider_usage.lazy()
        .filter(pl.col("effective_cost").is_not_null())
        .group_by(pl.col(*keys).cast(pl.String))
        .agg(pl.col("effective_cost").sum())
        .collect()
        .sort(*keys)
    )
    amounts = to_attos(grouped["effective_cost"])
    for (provider, account, model_id), attos in zip(grouped.select(*keys).iter_rows(), amounts, strict=True):
        row_model = bills.row_model(provider, model_id)
        accounts = bills.accounts(provider, row_model, organization_currency)
        only = next(iter(accounts)) if len(accounts) == 1 else None
        yield (provider, account if account in accounts else only, row_model, organization_currency), attos or 0


def _frame(rows: dict[Key, _Row], month: Month, tolerance: Fraction) -> pl.DataFrame:
    ordered = sorted(rows, key=lambda key: tuple(part or "" for part in key))
    differences = [_difference(rows[key]) for key in ordered]
    data = {
        "month": [month.first_day] * len(ordered),
        **{name: [key[index] for key in ordered] for index, name in enumerate(_KEYS)},
        "billed_cost": from_attos([rows[key].billed for key in ordered], "billed_cost"),
        "priced_cost": from_attos([rows[key].priced for key in ordered], "priced_cost"),
        "provider_usage_cost": from_attos([rows[key].reported for key in ordered], "provider_usage_cost"),
        "difference_cost": from_attos(differences, "difference_cost"),
        "difference_cause": [_cause(rows[key], currency=key[3], tolerance=tolerance) for key in ordered],
    }
    frame = pl.DataFrame(data, schema_overrides=MART_RECONCILIATION_MONTHLY.polars_schema)
    return MART_RECONCILIATION_MONTHLY.validate(frame.select(*MART_RECONCILIATION_MONTHLY.columns))


def _difference(row: _Row) -> int | None:
    return None if row.billed is None or row.priced is None else row.billed - row.priced


def _cause(row: _Row, *, currency: str, tolerance: Fraction) -> str:
    difference = _difference(row)
    if row.billed is None:
        return "no_bill_yet"
    if row.priced is None or difference is None:
        return "usage_not_priced" if row.is_used else "no_usage_seen"
    step = ATTOS // 10 ** minor_unit_digits(currency)
    if round_half_even(Fraction(row.billed, step)) == round_half_even(Fraction(row.priced, step)):
        return "matched"
    if abs(difference) <= tolerance * abs(row.priced):
        return "within_tolerance"
    return "billed_above_usage" if difference > 0 else "billed_below_usage"

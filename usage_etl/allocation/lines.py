"""Lines of the chargeback: exact parts rounded once per account, with ids, names and what is behind them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

import polars as pl

from usage_etl.allocation.bills import in_minor_units, step_of, text_of
from usage_etl.allocation.line_frame import LineColumns, line_frame
from usage_etl.allocation.owners import OwnerDirectories, owner_order
from usage_etl.allocation.parts import Origin, Part
from usage_etl.allocation.rates import SAME
from usage_etl.allocation.usage_weights import UsageWeights
from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.remainder import round_groups
from usage_etl.schemas.chargeback import MART_ALLOCATION_MONTHLY

_USAGE_KINDS = ("usage", "marketplace")

AccountKey = tuple[str, str | None, str]
"""(provider, billing account, currency of the invoice); account None holds estimates."""


def lines_of(parts: Sequence[Part], weights: UsageWeights, directories: OwnerDirectories, *, month: Month) -> pl.DataFrame:
    """MART_ALLOCATION_MONTHLY rows of exact parts: the lines of each account get its rounded total by largest remainder.

    The billed amounts, the effective amounts and, where an invoice was converted, its own amounts are rounded apart, each
    once per account. The line ``rounding`` is whole as it is and no part of that: with it, a total that ends in half a unit
    could be rounded to the other side. Ties go by a hash of the line id. Rows are sorted, whatever the order of the parts.
    """
    if not parts:
        return MART_ALLOCATION_MONTHLY.empty()
    accounts: dict[tuple[AccountKey, bool], list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        accounts[account_of(part.origin), part.line_kind == "rounding"].append(number)
    columns, behind = LineColumns(), _Behind(parts, weights)
    texts: dict[int, str] = {}
    owner_ids = [_digest(str(owner_order(owner))) for owner in weights.owners.list]
    for numbers in accounts.values():
        group = [parts[number] for number in numbers]
        texts |= dict.fromkeys(numbers, _account_text(group))
        _add_rows(columns, numbers, group, owner_ids, month)
        for part in group:
            requests, tokens = behind.counts(part)
            columns.requests += [requests.get(owner, 0) for owner in part.owners]
            columns.tokens += [tokens.get(owner, 0) for owner in part.owners]
    said = [f"{part.text}; {texts[number]}" for number, part in enumerate(parts)]
    return line_frame(columns, parts, said, weights.owners.list, directories, month=month)


def account_of(origin: Origin) -> AccountKey:
    """The account whose lines are rounded together."""
    return origin.provider_name, origin.billing_account_id, origin.invoice_currency


def _add_rows(
    columns: LineColumns, numbers: Sequence[int], parts: Sequence[Part], owner_ids: Sequence[str], month: Month
) -> None:
    ids = [line_id for part in parts for line_id in _ids(part, owner_ids, month)]
    columns.allocated += _rounded(parts, [part.billed for part in parts], parts[0].origin.currency, ids)
    if all(part.effective == part.billed for part in parts):
        columns.effective += columns.allocated[-len(ids) :]
    else:
        columns.effective += _rounded(parts, [part.effective for part in parts], parts[0].origin.currency, ids)
    if parts[0].origin.rate is SAME:
        columns.invoiced += [None] * len(ids)
    else:
        invoiced = [part.billed / part.origin.rate.factor if part.invoiced is None else part.invoiced for part in parts]
        columns.invoiced += _rounded(parts, invoiced, parts[0].origin.invoice_currency, ids)
    columns.line_id += ids
    for number, part in zip(numbers, parts, strict=True):
        columns.part += [number] * len(part.owners)
        columns.owner += part.owners
        columns.metered += [None] * len(part.owners) if part.metered is None else part.metered.units


def _rounded(parts: Sequence[Part], amounts: Sequence[Fraction], currency: str, ids: Sequence[str]) -> list[int]:
    """Amounts in attos, whole minor units, of every owner of every part in order."""
    step = step_of(currency)
    groups = [
        ([amount.numerator * weight for weight in part.weights], amount.denominator * sum(part.weights) * step)
        for part, amount in zip(parts, amounts, strict=True)
    ]
    return [units * step for units in round_groups(groups, tie_keys=ids)]


def _ids(part: Part, owner_ids: Sequence[str], month: Month) -> list[str]:
    """Ids of the lines of a part: of what it is a part of, of the owner and of the kind, never of amounts."""
    origin = part.origin
    keys: dict[str, object] = {
        "basis": part.charge_basis,
        "kind": part.line_kind,
        "number": part.number,
        "currency": origin.currency,
    }
    if origin.line is not None:
        keys["invoice_line"] = origin.line.keys["invoice_line_id"]
    else:
        keys |= {"month": str(month), "account": account_of(origin), "model": origin.model_id}
    prefix = fingerprint(keys)
    return [_digest(prefix + owner_ids[owner]) for owner in part.owners]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _account_text(parts: Sequence[Part]) -> str:
    """How the account's total was rounded and converted."""
    origin = parts[0].origin
    total = sum((part.billed for part in parts), Fraction(0))
    units = total / step_of(origin.currency)
    text = "lines rounded by largest remainder"
    if units.denominator != 1:
        whole = text_of(in_minor_units(total, origin.currency) * step_of(origin.currency))
        text = f"account total {text_of(total)} rounded half-even to {whole} {origin.currency}, lines by largest remainder"
    if origin.rate is SAME:
        return text
    rate = origin.rate
    assert rate.rate is not None, "a rate that converts has a value"
    return f"converted from {origin.invoice_currency} at {rate.rate.normalize():f} of {rate.date} ({rate.source}); {text}"


class _Behind:
    """Requests and tokens behind lines of metered usage, so that over one account's bill each is counted once.

    Of several invoice lines of a model on an account the first carries them: one in the standard price class before others,
    then by id. The first line that names no model carries the models that no line of the provider names.
    """

    def __init__(self, parts: Sequence[Part], weights: UsageWeights) -> None:
        self._weights = weights
        self._named: dict[str, set[str]] = defaultdict(set)
        self._carriers: dict[tuple[str, str | None, str | None], tuple[bool, str]] = {}
        for part in parts:
            origin = part.origin
            if origin.charge_kind not in _USAGE_KINDS:
                continue
            if origin.model_id is not None and origin.line is not None:
                self._named[origin.provider_name].add(origin.model_id)
            key, rank = _carried(origin), _rank(origin)
            self._carriers[key] = min(self._carriers.get(key, rank), rank)

    def counts(self, part: Part) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """Owner to requests, and owner to tokens, behind the lines of a part."""
        origin = part.origin
        if origin.charge_kind not in _USAGE_KINDS or part.number:
            return {}, {}
        if self._carriers[_carried(origin)] != _rank(origin):
            return {}, {}
        if origin.model_id is not None:
            return self._sums(origin.provider_name, [origin.model_id])
        named = self._named[origin.provider_name]
        unnamed = [name for name in self._weights.models(origin.provider_name) if name not in named]
        return self._sums(origin.provider_name, unnamed)

    def _sums(self, host: str, models: Sequence[str]) -> tuple[Mapping[int, int], Mapping[int, int]]:
        requests = [self._weights.counts(host, model_id, "requests").by_owner for model_id in models]
        tokens = [self._weights.counts(host, model_id, "tokens").by_owner for model_id in models]
        return _added(requests), _added(tokens)


def _added(each: Sequence[Mapping[int, int]]) -> Mapping[int, int]:
    if len(each) == 1:
        return each[0]
    sums: dict[int, int] = defaultdict(int)
    for counts in each:
        for owner, count in counts.items():
            sums[owner] += count
    return sums


def _carried(origin: Origin) -> tuple[str, str | None, str | None]:
    """Whose requests the origin may carry: a model on an account; estimates of one model share them over currencies."""
    return origin.provider_name, origin.billing_account_id, origin.model_id


def _rank(origin: Origin) -> tuple[bool, str]:
    if origin.line is None:
        return False, origin.invoice_currency
    keys = origin.line.keys
    return keys["processing"] not in (None, "standard"), keys["invoice_line_id"]

"""What the tie-out found, in words: the causes of a provider's difference, each with its amount."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.reports.formatting import listed, money_exact, plural
from usage_etl.reports.inputs import MonthFacts, shown_name
from usage_etl.reports.model import BillCause, BillRow, Figure, Tone

UNEXPLAINED_CAUSE = "unexplained"
_SAID_CAUSES_COUNT = 4
PHRASES = {
    "missing_logs": "{} billed on days without logs",
    "bypassed_gateway": "{} of traffic bypassed the gateway",
    "timezone_cut": "{} counted on other days in the provider's zone",
    "cache_semantics": "{} of input billed in another cache class",
    "tier_or_batch": "{} of tokens billed in another price class",
    "price_difference": "{} by another price",
    "unmapped_meter": "{} on meters of no known model",
    "credits": "{} of credits",
    "not_billed": "{} used and not billed",
    "rounding": "{} of rounding",
    UNEXPLAINED_CAUSE: "{} unexplained",
}
"""Cause to the words around its amount."""

SHORT_NAMES = {
    "missing_logs": "logs missing",
    "bypassed_gateway": "bypassed gateway",
    "timezone_cut": "time zone",
    "cache_semantics": "cache classes",
    "tier_or_batch": "tier or batch",
    "price_difference": "another price",
    "unmapped_meter": "unknown meters",
    "credits": "credits",
    "not_billed": "not billed",
    "rounding": "rounding",
    UNEXPLAINED_CAUSE: "unexplained",
}
"""Cause as it fits into a column."""

VERDICTS: dict[str, tuple[str, Tone]] = {
    "unexplained": ("unexplained", "warn"),
    "no_usage_seen": ("billed, never logged", "warn"),
    "usage_not_priced": ("logged, no price known", "warn"),
    "explained": ("explained", "warn"),
    "within_tolerance": ("within tolerance", "good"),
    "matched": ("matches", "good"),
    "no_bill_yet": ("no bill yet", "neutral"),
}
"""Verdict to its words and tone, the gravest first: of a provider's rows that one is shown."""

_UNSIGNED = {"credits", "not_billed"}
"""Causes whose words say that they lower the bill."""
_HARMLESS = {"credits", "timezone_cut", "rounding"}
_PARTIAL = {"missing_logs", "bypassed_gateway", "unmapped_meter"}


def month_rows(facts: MonthFacts) -> pl.DataFrame:
    """The month's tie-out in the report's currency."""
    return facts.inputs.reconciliation.filter(
        (pl.col("month") == facts.month.first_day) & (pl.col("billing_currency") == facts.currency)
    )


def causes_of(rows: pl.DataFrame) -> list[tuple[str, Decimal]]:
    """Causes with their sums over ``rows``, the largest first; those that come to nothing are left out."""
    sums = [(cause, exact_sum(rows[f"{cause}_cost"])) for cause in PHRASES]
    return sorted(((cause, amount) for cause, amount in sums if amount), key=lambda found: -abs(found[1]))


def cause_text(cause: str, amount: Decimal, show: Callable[[Decimal], str]) -> str:
    """A cause with its amount, as ``show`` prints it: ``$83.16 of traffic bypassed the gateway``."""
    if cause in _UNSIGNED and amount < 0:
        return PHRASES[cause].format(show(-amount))
    sign = "+" if amount > 0 and cause not in _PARTIAL | _UNSIGNED | {UNEXPLAINED_CAUSE} else ""
    return PHRASES[cause].format(sign + show(amount))


def bill_rows(facts: MonthFacts, *, no_data: str, not_applicable: str) -> tuple[BillRow, ...]:
    """One row for each provider that billed or was used: amounts, verdict and causes."""
    rows = month_rows(facts).sort("provider_name")
    return tuple(
        _bill_row(facts, str(provider), group, no_data=no_data, not_applicable=not_applicable)
        for (provider,), group in rows.group_by("provider_name", maintain_order=True)
    )


def findings_of(bills: Sequence[BillRow]) -> tuple[str, ...]:
    """A sentence for each provider whose bill differs: its causes with their amounts, the largest first."""
    found = []
    for row in bills:
        texts = [cause.text for cause in row.causes]
        more = [plural(len(texts) - _SAID_CAUSES_COUNT, "smaller cause")] if len(texts) > _SAID_CAUSES_COUNT else []
        if texts:
            found.append(f"{row.provider}: {listed([*texts[:_SAID_CAUSES_COUNT], *more])}.")
    return tuple(found)


def _bill_row(facts: MonthFacts, provider: str, rows: pl.DataFrame, *, no_data: str, not_applicable: str) -> BillRow:
    def amount(value: Decimal | None, absent: str) -> Figure:
        return Figure(value=value, text=absent if value is None else money_exact(value, facts.currency))

    billed, metered = rows["billed_cost"].drop_nulls(), rows["metered_cost"].drop_nulls()
    causes = causes_of(rows)
    verdict, tone = _verdict(rows, causes)
    return BillRow(
        provider=shown_name(provider, provider),
        billed=amount(exact_sum(billed) if len(billed) else None, "no bill yet"),
        priced=amount(exact_sum(metered) if len(metered) else None, no_data),
        difference=amount(exact_sum(billed) - exact_sum(metered) if len(billed) else None, not_applicable),
        verdict=verdict,
        tone=tone,
        causes=tuple(
            BillCause(
                cause=cause,
                cost=amount(value, no_data),
                text=cause_text(cause, value, lambda shown: money_exact(shown, facts.currency)),
            )
            for cause, value in causes
        ),
    )


def _verdict(rows: pl.DataFrame, causes: list[tuple[str, Decimal]]) -> tuple[str, Tone]:
    """The gravest verdict of the rows; differences that are explained are called by their largest cause."""
    found = set(rows["tie_out_status"])
    status = next(one for one in VERDICTS if one in found)
    if status != "explained" or not causes:
        return VERDICTS[status]
    cause = causes[0][0]
    return SHORT_NAMES[cause], "neutral" if cause in _HARMLESS else "warn"
